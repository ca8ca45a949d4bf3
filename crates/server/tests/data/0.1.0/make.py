"""Makes the stores and backups of this folder: `python3 make.py MUSTER_BINARY [FOLDER]`.

It needs Python 3.9 and, from Debian's packages, postgresql, zstd and age. Run it with a binary of Muster 0.1.0:
the files say what that version stored.
"""

import contextlib
import json
import os
import pathlib
import shutil
import sqlite3
import subprocess
import sys
import tempfile

from fill import Fill
from wire import Muster, free_port

HERE = pathlib.Path(__file__).parent


def run(*command, **options):
    """Runs a program that must do well; what it prints."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise SystemExit(f"{command}: {done.stdout}{done.stderr}")
    return done.stdout


@contextlib.contextmanager
def database(folder):
    """A database on a PostgreSQL server of its own; its URL, and a function that runs PostgreSQL's programs."""
    binaries = pathlib.Path(run("pg_config", "--bindir").strip()) if shutil.which("pg_config") else pathlib.Path()
    if not (binaries / "initdb").exists():
        binaries = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    # The server refuses to run as root.
    as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    home = folder / "postgres"
    home.mkdir()
    if as_user:
        shutil.chown(home, "postgres")
        folder.chmod(0o755)
    program = lambda name, *arguments: run(*as_user, binaries / name, *arguments, cwd=home)
    program("initdb", "-D", home / "data", "-U", "muster", "-A", "trust", "-E", "UTF8", "--locale=C")
    port = free_port()
    options = f"-c listen_addresses=127.0.0.1 -p {port} -k {home}"
    program("pg_ctl", "-D", home / "data", "-l", home / "log", "-o", options, "-w", "start")
    try:
        program("createdb", "-h", "127.0.0.1", "-p", port, "-U", "muster", "muster")
        yield f"postgres://muster@127.0.0.1:{port}/muster", program
    finally:
        program("pg_ctl", "-D", home / "data", "-m", "fast", "stop")


def filled(program, folder, store):
    """A store that is filled and sound; the program on it, and what tests need to know."""
    folder.mkdir()
    muster = Muster(program, folder, store)
    try:
        facts = Fill(muster).run()
    finally:
        if muster.child and muster.child.poll() is None:
            muster.child.kill()
    if not muster.cli("check")["sound"]:
        raise SystemExit(f"{store} is damaged")
    if any(tenant["broken"] for tenant in facts["audit"]):
        raise SystemExit(f"{store} has a broken chain")
    return muster, facts


def backup(muster, facts, file, *flags):
    """A backup of a store; the counts it has go into the facts."""
    file.unlink(missing_ok=True)
    made = muster.cli("backup", file, *flags)
    counts = {tenant.pop("tenant"): tenant for tenant in made["tenants"]}
    for tenant in facts["tenants"]:
        tenant["counts"] = {name: n for name, n in counts[tenant["number"]].items() if name != "digest"}


def without_restrictions(dump):
    """Newer minor versions of pg_dump write meta-commands that older ones of psql do not know."""
    return "".join(line for line in dump.splitlines(True) if not line.startswith(("\\restrict", "\\unrestrict")))


def main():
    program = pathlib.Path(sys.argv[1]).resolve()
    target = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else HERE).resolve()
    version = run(program, "--version").strip()
    identity = (HERE / "identity.txt").read_text()
    recipient = next(line for line in identity.splitlines() if "public key" in line).split()[-1]
    stores = {}
    with tempfile.TemporaryDirectory(prefix="muster-fixtures-") as folder:
        folder = pathlib.Path(folder)
        store = folder / "muster.db"
        muster, facts = filled(program, folder / "sqlite", str(store))
        backup(muster, facts, target / "plain.bak")
        with contextlib.closing(sqlite3.connect(store)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        run("zstd", "-q", "-f", "-19", store, "-o", target / "muster.db.zst")
        stores["sqlite"] = facts
        with database(folder) as (url, postgres):
            muster, facts = filled(program, folder / "on-postgres", url)
            backup(muster, facts, target / "encrypted.bak", "--recipient", recipient)
            dump = postgres("pg_dump", "--no-owner", "--no-privileges", url)
            (target / "postgres.sql").write_text(without_restrictions(dump))
            stores["postgres"] = facts
    document = {
        "muster": version,
        "backups": {
            "plain": {"file": "plain.bak", "store": "sqlite"},
            "encrypted": {
                "file": "encrypted.bak", "store": "postgres", "identity": "identity.txt", "recipient": recipient},
        },
        "stores": stores,
    }
    (target / "facts.json").write_text(lines(document) + "\n")
    for name in ("plain.bak", "encrypted.bak", "muster.db.zst"):
        (target / name).chmod(0o644)


def lines(value, indent=""):
    """JSON, compact where it is short. Escapes, so that nothing changes how names are spelled."""
    compact = json.dumps(value)
    if len(compact) < 2000 or not isinstance(value, (dict, list)):
        return compact
    inner = indent + " "
    if isinstance(value, dict):
        items = [f"{json.dumps(name)}: {lines(item, inner)}" for name, item in value.items()]
        return "{\n" + ",\n".join(inner + item for item in items) + f"\n{indent}}}"
    return "[\n" + ",\n".join(inner + lines(item, inner) for item in value) + f"\n{indent}]"


if __name__ == "__main__":
    main()
