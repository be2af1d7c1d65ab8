"""Known vulnerabilities of what is installed, by pip-audit; fails where there are any, or where nothing was asked.

    python scripts/audit.py

pip-audit says "none known" of a package that its database does not have, such as behind a mirror of PyPI that has no
advisories. So this says how many were really looked up.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def judged(document: dict[str, Any]) -> tuple[bool, list[str]]:
    """Whether pip-audit's JSON is good news, and what to print of it."""
    packages = document["dependencies"]
    asked = [package for package in packages if "skip_reason" not in package]
    left = sorted(package["name"] for package in packages if "skip_reason" in package)
    known = [
        f"{package['name']} {package['version']}: {found['id']}, mended in {', '.join(found['fix_versions']) or 'none'}"
        for package in asked
        for found in package["vulns"]
    ]
    lines = [*known, f"{len(asked)} of {len(packages)} packages looked up, {len(known)} known vulnerabilities"]
    if not asked:
        lines.append("the database has none of them: ask again where PyPI itself can be reached")
    elif left:
        lines.append(f"not looked up: {', '.join(left)}")
    return bool(asked) and not known, lines


def main() -> None:
    """Asks."""
    words = [str(Path(sys.executable).with_name("pip-audit")), "--skip-editable", "--format", "json"]
    done = subprocess.run([*words, "--progress-spinner", "off"], stdout=subprocess.PIPE, text=True, check=False)
    if not done.stdout:
        sys.exit(done.returncode)
    good, lines = judged(json.loads(done.stdout))
    print("\n".join(lines))
    sys.exit(not good)


if __name__ == "__main__":
    main()
