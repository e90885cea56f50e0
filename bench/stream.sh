#!/bin/sh
# Streams against dense runs of the same run of this machine: bench/stream.sh [VIDETTE] > bench/results/stream.csv
#
# A row a setting: the best step and the best dense run, how much faster, the share of the dense rate that is
# kept, an unchanged frame, bytes of state. Needs python3 for the CSV.
vidette=${1:-build/vidette}
echo "date,cpu,arch,size,precision,update,attention,dense_ms,step_ms,first_ms,unchanged_ms,speedup,macs_dense,macs_done,rate_kept,afresh_a_step,state_bytes"
row() { # arch size precision update attention
    "$vidette" bench --stream --json --arch "$1" --size "$2" --precision "$3" --update "$4" --attention "$5" |
        python3 -c '
import datetime, json, sys
b = json.load(sys.stdin)
cpu = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), "?")
family = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("cpu family")), "?")
ms, macs = b["ms"], b["macs"]
number = lambda x: "" if x is None else "%.4g" % x
print(",".join([datetime.date.today().isoformat(), cpu + " family " + family, *sys.argv[1:],
                number(ms["dense"]), number(ms["min"]), number(ms["first"]), number(ms["idle"]),
                "%.3f" % b["speedup"], str(macs["dense"]), str(macs["done"]), "%.3f" % b["rate_kept"],
                number(b["afresh"]), str(b["state_bytes"])]))' "$@"
}
for precision in f32 bf16 int8; do
    row vit-base 224 $precision top:24 exact
    row vit-base 224 $precision top:96 exact
done
for precision in f32 bf16; do
    row vitdet-base 672 $precision top:256 exact
    row vitdet-base 672 $precision top:512 exact
    row vitdet-base 1024 $precision top:512 exact
done
row vitdet-base 672 f32 top:256 tokenwise
row vitdet-base 672 f32 top:256 delta
row vit-base 224 f32 top:24 delta
