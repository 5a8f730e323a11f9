"""What the soak has found, as a document and as a table for people, and what of it is not as it should be."""

import os

import soak_samples
from tables import columns

KEPT_SAMPLES = 150
VERDICTS = {True: "flat", False: "GROWS", None: "–"}  # the last: too short a run


def result(soak, count):
    judged = soak_samples.judge(soak.samples, soak.seconds)
    explained, _ = soak.diary.judge(soak.changes)
    first, last = soak.samples[0], soak.samples[-1]
    hours = (last["seconds"] - first["seconds"]) / 3600
    step = max(1, len(soak.samples) // KEPT_SAMPLES)
    grown = {key: (last[key] or 0) - (first[key] or 0) for key in soak_samples.METRICS}
    return {"machine": {"cpus": os.cpu_count(), "kernel": os.uname().release},
            "minutes": round(hours * 60, 1), "pods": count,
            "judged": {bound.key: {"first_quarter": round(begin, 3), "last_quarter": round(end, 3), "flat": flat,
                                   "slope_per_hour": None if slope is None else round(slope, 4),
                                   "growth_bound": max(bound.growth, round(bound.part * begin, 1)),
                                   "slope_bound": bound.slope} for bound, begin, end, slope, flat in judged},
            "rss_mib": {"first": first["rss_mib"], "last": last["rss_mib"]},
            "fd_kinds": {"first": first["fd_kinds"], "last": last["fd_kinds"]},
            "cpu_percent": round(100 * (last["cpu_seconds"] - first["cpu_seconds"]) / (hours * 3600), 2),
            "restarts": dict(explained), "unexplained": list(soak.unexplained.values()), "done": dict(soak.done),
            "tokens": len(soak.tokens), "counted": grown, "notes": soak.notes, "faults": soak.faults,
            "warnings": soak.warnings(), "samples": soak.samples[::step]}


def table(found):
    rows = [("", "first", "last", "change", "an hour", "bound", "")]
    for bound in soak_samples.BOUNDS:
        values = found["judged"][bound.key]
        begin, end, slope = values["first_quarter"], values["last_quarter"], values["slope_per_hour"]
        digits = bound.digits
        limits = f"+{values['growth_bound']:g}" + (f", {bound.slope:g}/h" if bound.slope is not None else "")
        rows.append((bound.text, f"{begin:.{digits}f}", f"{end:.{digits}f}", f"{end - begin:+.{digits}f}",
                     "–" if slope is None else f"{slope:+.2f}", limits, VERDICTS[values["flat"]]))
    counted, restarts = found["counted"], found["restarts"]
    lines = [columns(rows), "",
             f"{found['pods']} pods, {found['minutes']:g} min; agent: {found['cpu_percent']:g} % of a CPU, "
             f"{found['rss_mib']['last']:.1f} MiB resident",
             f"restarts: {restarts.get('exits', 0)} crashes, {restarts.get('fails its probe', 0)} failed probes, "
             f"{len(found['unexplained'])} unexplained",
             f"{restarts.get('pods replaced', 0)} pods replaced, {counted['rotations']:.0f} logs rotated, "
             f"{counted['probes']:.0f} probes, {found['tokens']} tokens",
             f"{counted['requests']:.0f} requests to the API server, "
             f"{counted['runtime_calls']:.0f} calls to containerd"]
    return "\n".join(lines + [f"{number:5d}  {name}" for name, number in sorted(found["done"].items())])


def failures(found):
    bounds = {bound.key: bound.text for bound in soak_samples.BOUNDS}
    reasons = [f"{bounds[key]}: not flat, {values['first_quarter']:g} at first, {values['last_quarter']:g} at last"
               for key, values in found["judged"].items() if values["flat"] is False]
    reasons += [f"unexplained: {text}" for text in found["unexplained"]]
    return reasons + found["faults"]
