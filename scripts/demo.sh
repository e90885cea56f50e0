#!/bin/sh
# What `make demo` runs once everything is built: one real clip, the small trained model, what to try next.
set -eu
cd "$(dirname "$0")/.."
clip=$(ls share/clips/*.mp4 | head -n 1)
echo "\$ build/vidette classify $clip"
build/vidette classify "$clip"
cat <<END

That was a real surveillance clip and the small VideoMAE in share/fight-videomae-tiny. Next:

    build/vidette classify share/clips/*.mp4            all sample clips
    build/vidette classify --json YOUR.mp4              your video, for programs
    build/vidette classify -m DIRECTORY YOUR.mp4        any Hugging Face directory (docs/models.md)
    build/vidette info --arch videomae-base             what a bigger model costs, before you download it
    build/vidette --help
END
