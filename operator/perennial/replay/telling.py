"""What a replay comes to, on a terminal: a table a run, and a sentence a difference."""

from rich import box
from rich.console import Console
from rich.table import Table

from perennial.replay.report import Report, Run, WinRateDifference


def tell(console: Console, report: Report) -> None:
    """Everything that the closing lines say."""
    for run in report.runs:
        _print_run(console, run, report)
    _print_comparison(console, report)
    _print_caution(console, _differences(report))


def build_table(run: Run, cpu: dict[str, float]) -> Table:
    """The closing table: a row a model."""
    table = Table(box=box.SIMPLE, title=run.name, title_justify="left")
    table.add_column("model", no_wrap=True)
    for heading in (
        *("retrains", "deploys", "canaries", "keeps", "failed", "rollbacks"),
        *("win rate", "alone", "reward", "alone", "CPU s"),
    ):
        table.add_column(heading, justify="right")
    for model in run.models:
        counts, with_, without = model.counts, model.with_retraining, model.without_retraining
        numbers = (counts.retrains, counts.deploys, counts.canaries, counts.keeps, counts.failures, counts.rollbacks)
        table.add_row(
            model.name,
            *map(str, numbers),
            *(f"{p.win_rate.value:.1%}" if p.win_rate else "–" for p in (with_, without)),
            *(f"{p.total_reward:+.3f}" if p.total_reward is not None else "–" for p in (with_, without)),
            f"{cpu.get(f'{run.name} {model.name}', 0.0):.0f}",
        )
    return table


def explain_difference(found: WinRateDifference | None, first: str, second: str) -> str:
    """In one sentence, with its interval and the number of trials behind it."""
    if found is None:
        return f"{first} and {second} cannot be told apart: too few outcomes that both answered"
    verdict = "no difference is shown" if found.lower <= 0 <= found.upper else "a difference"
    return (
        f"{first} won {100 * found.value:+.1f} points against {second} ({100 * found.lower:+.1f} to "
        f"{100 * found.upper:+.1f} at 95 %): {verdict}, on {found.effective_outcomes:.0f} effective of "
        f"{found.outcomes} outcomes; they differed in {found.blocks} time blocks"
    )


def _print_run(console: Console, run: Run, report: Report) -> None:
    console.print(build_table(run, report.measured.training_cpu_seconds))
    for model in run.models:
        if model.with_retraining.win_rate:
            console.print(explain_difference(model.difference, model.name, "its first version left alone"))
        else:
            last = model.versions[-1].message if model.versions else ""
            console.print(f"{model.name} never served: {last or 'no version of it was accepted'}")


def _differences(report: Report) -> int:
    models = [model.difference for run in report.runs for model in run.models]
    compared = [model.difference for model in report.comparison.models] if report.comparison else []
    return sum(difference is not None for difference in (*models, *compared))


def _print_caution(console: Console, compared: int) -> None:
    """Many looks find something."""
    if compared > 1:
        console.print(f"{compared} differences were looked at: at 95 %, one in twenty shows itself where there is none")


def _print_comparison(console: Console, report: Report) -> None:
    if report.comparison is None:
        return
    first, second, cpu = report.comparison.first, report.comparison.second, report.measured.training_cpu_seconds
    console.print(f"\n{first} beside {second}")
    for model in report.comparison.models:
        told = explain_difference(model.difference, f"{model.model} under {first}", second)
        spent = [cpu.get(f"{name} {model.model}", 0.0) for name in (first, second)]
        console.print(f"{told}; {spent[0]:.0f} CPU seconds of training against {spent[1]:.0f}")
