"""How fast the operator is, on etcd, kube-apiserver and the Job controller alone: `python e2e/performance`.

Every figure comes from the API server's audit log or from /proc, none from the operator itself. README.md has the
method and the results; ranges.yaml has the limits, and the trial runs that they rest on.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
for needed in (ROOT / "e2e/control_plane", ROOT / "operator", ROOT / "trainer"):
    sys.path.insert(0, str(needed))

import report  # noqa: E402
import scenarios  # noqa: E402

PROGRAMS_SECONDS = 900
"""Finding the programs takes no time, building them 4 to 6 minutes on two idle cores."""


def programs() -> pathlib.Path:
    """Return the folder of the servers, built if need be."""
    asked = [sys.executable, str(ROOT / "e2e/cluster"), "control-plane-bin"]
    found = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=PROGRAMS_SECONDS)
    if found.returncode:
        raise SystemExit(found.stderr)
    return pathlib.Path(found.stdout.strip())


def main() -> int:
    """Run the scenarios asked for, print their figures, and fail where one is out of its range."""
    parser = argparse.ArgumentParser(prog="e2e/performance", description=__doc__)
    parser.add_argument("scenario", nargs="*", help=f"of {', '.join(scenarios.ALL)}; default: all")
    parser.add_argument("--programs", type=pathlib.Path, help="folder of the servers; default: the cluster tool's")
    parser.add_argument("--json", type=pathlib.Path, help="file to write the figures to")
    parser.add_argument("--profile", type=pathlib.Path, help="file for cProfile's figures of the operator")
    options = parser.parse_args()
    if unknown := set(options.scenario) - set(scenarios.ALL):
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    folder = options.programs or programs()
    measured: dict[str, dict[str, float]] = {}
    slower = 1.0
    for name in sorted(options.scenario, key=list(scenarios.ALL).index) or scenarios.ALL:
        print(f"{name}: {scenarios.ALL[name].__doc__.splitlines()[0]}", flush=True)
        with tempfile.TemporaryDirectory(prefix="performance-") as scratch:
            measured[name] = scenarios.run(name, folder, pathlib.Path(scratch), options.profile)
        slower = max(1.0, measured[name].get(scenarios.SLOWER, slower))
        print(report.table(name, measured[name], slower), flush=True)
    if options.json:
        options.json.write_text(json.dumps(measured, indent=2) + "\n", "utf-8")
    return report.judged(measured, slower)


if __name__ == "__main__":
    sys.exit(main())
