"""What stands beside a model that train_demo.py made: its card, out of the templates in cards/, and sample clips."""
import math
import shutil
from pathlib import Path

CARDS = Path(__file__).resolve().parent / "cards"

# Out of the test part; the VideoMAE is right on three of four here as it is there.
SAMPLES = ["fight/fi003.mp4", "fight/fi150.mp4", "noFight/nofi001.mp4", "noFight/nofi002.mp4"]


def exact_interval(right, total, confidence=0.95):
    """Clopper-Pearson, by bisection on the binomial distribution."""

    def at_least(k, p):
        return sum(math.comb(total, i) * p ** i * (1 - p) ** (total - i) for i in range(k, total + 1))

    def solve(k, level):
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if at_least(k, middle) < level else (low, middle)
        return low

    tail = (1 - confidence) / 2
    return (solve(right, tail) if right else 0.0), (solve(right + 1, 1 - tail) if right < total else 1.0)


def recall(guess, truth, which):
    chosen = truth == which
    right = int((guess[chosen] == which).sum())
    return right / int(chosen.sum()), right, int(chosen.sum())


def cross_validation_lines(result, linear):
    if not result:
        return ""
    return ("\nIn five folds of train + validation (same recipe, same number of epochs, scenes apart, "
            f"{result['clips']} clips): this\nmodel {result['student']:.1%}, its teacher "
            f"{result['teacher']:.1%}, the regression {linear:.1%}. The recipe was chosen by looking at such\n"
            "folds, so these figures flatter a little.\n")


def write_card(out, kind, truth, guess, linear, cross_validation, facts):
    """README.md out of cards/KIND.md: what the guesses are worth, linear (accuracy of the regression in folds and on
    the test part), and facts of the training, which the template names."""
    right, n = int((guess == truth).sum()), len(truth)
    low, high = exact_interval(right, n)
    fight, calm = recall(guess, truth, 1), recall(guess, truth, 0)
    size = (out / "model.safetensors").stat().st_size
    text = (CARDS / f"{kind}.md").read_text(encoding="utf-8").format(
        parameters=size / 2e6, megabytes=size / 1e6, wrong_in=f"{n - right} of {n}", accuracy=right / n, right=right,
        n=n, low=low, high=high, linear=linear[1], majority=max(fight[2], calm[2]) / n, recall_fight=fight[0],
        right_fight=fight[1], n_fight=fight[2], recall_calm=calm[0], right_calm=calm[1], n_calm=calm[2],
        cross_validation=cross_validation_lines(cross_validation, linear[0]), **facts)
    out.joinpath("README.md").write_text(text, encoding="utf-8")


def copy_samples(data, clips_dir, test, logits, labels):
    clips_dir.mkdir(parents=True, exist_ok=True)
    table = ""
    for clip in SAMPLES:
        shutil.copyfile(data / clip, clips_dir / Path(clip).name)
        said = logits[test.index(clip)].softmax(0)
        table += f"| `{Path(clip).name}` | {clip.split('/')[0]} | {labels[said.argmax()]} ({said.max():.0%}) |\n"
    shutil.copyfile(data / "LICENSE", clips_dir / "LICENSE")
    text = (CARDS / "clips.md").read_text(encoding="utf-8").format(table=table)
    clips_dir.joinpath("README.md").write_text(text, encoding="utf-8")
