"""`holdfast prove --plan`: what would be done, what could not be found, and the line that would tell it."""

from collections.abc import Sequence

from holdfast.prove.config import Template
from holdfast.prove.discovery import LINES, Found
from holdfast.prove.scenario import AnyScenario
from holdfast.prove.stage import Target


def plan(found: Found, scenarios: Sequence[AnyScenario]) -> str:
    """The plan as text."""
    runs = [each for each in scenarios if all(found.target.has(need) for need in each.needs)]
    lines = ["What is known of the backend:"]
    lines += [f"  {role:<13} {_shown(found.target, role)}  ({how})" for role, how in found.how.items()]
    lines += ["", f"What would be run, about {sum(each.seconds for each in runs):.0f} s:"]
    lines += [f"  {each.promise:<12} {each.name:<22} {each.seconds:>4.0f} s  {each.title}" for each in runs]
    if left := [each for each in scenarios if each not in runs]:
        lines += ["", "What would not be run:"]
        for each in left:
            need = next(need for need in each.needs if not found.target.has(need))
            lines.append(f"  {each.promise:<12} {each.name:<22} `{need}` is not known")
    if needs := dict.fromkeys(need for each in left for need in each.needs if not found.target.has(need)):
        lines += ["", "What could not be found, and the line of [tool.holdfast.prove] that would tell it:"]
        for need in needs:
            lines += [f"  {need}: {found.missing.get(need, 'nothing of the kind is known')}", f"      {LINES[need]}"]
    return "\n".join([*lines, *(f"note: {note}" for note in found.notes)])


def _shown(target: Target, role: str) -> str:
    if role == "schema":
        return target.schema
    if role == "dependencies":
        return ", ".join(target.config.dependencies)
    template = getattr(target, role.replace("-", "_"))
    if isinstance(template, Template):
        return template.shown
    return ", ".join(each.shown for each in template)
