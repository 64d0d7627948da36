//! A real PostgreSQL for the time of these tests: its own directory, its own
//! socket, no port.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock};

use tenantry_ledger::place::{PostgresPlace, Tls};

/// Where Debian puts the programs, in a directory for each version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// Makes a cluster, runs it, and takes it away when the pipe to this script
/// closes, however the tests end. A database does not run as root.
const SCRIPT: &str = r#"
set -eu
as() { "$@"; }
if [ "$(id -u)" = 0 ]; then as() { runuser -u postgres -- "$@"; }; chown postgres "$DIR"; fi
cd "$DIR"
as "$PROGRAMS/initdb" -D "$DIR/data" -U postgres -A trust -E UTF8 --no-locale >"$DIR/log" 2>&1
as "$PROGRAMS/pg_ctl" start -D "$DIR/data" -w -l "$DIR/data/log" \
    -o "-k $DIR -c listen_addresses='' -c max_connections=300" >>"$DIR/log" 2>&1
echo started
cat >/dev/null
kill -INT "$(head -n 1 "$DIR/data/postmaster.pid")"
while [ -e "$DIR/data/postmaster.pid" ]; do sleep 0.1; done
rm -rf "$DIR"
"#;

struct Server {
    directory: PathBuf,
    _script: Mutex<(Child, ChildStdin)>,
}

/// A place for a book in the database of these tests.
pub fn place() -> PostgresPlace {
    static SERVER: OnceLock<Server> = OnceLock::new();
    in_directory(&SERVER.get_or_init(start).directory)
}

/// A place for a book in the database whose socket is in `directory`.
pub fn in_directory(directory: &Path) -> PostgresPlace {
    PostgresPlace {
        host: directory.display().to_string(),
        port: 5432,
        database: "postgres".into(),
        user: "postgres".into(),
        password: None,
        tls: Tls::Off,
        connections: 5,
    }
}

fn start() -> Server {
    let programs = programs().unwrap_or_else(|| {
        panic!("these tests need PostgreSQL in {VERSIONS}: install it with `apt-get install postgresql`")
    });
    let directory = tempfile::Builder::new()
        .prefix("tenantry-ledger-")
        .tempdir_in("/tmp")
        .unwrap()
        .keep();
    let mut script = Command::new("/bin/sh")
        .args(["-c", SCRIPT])
        .env("DIR", &directory)
        .env("PROGRAMS", programs)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let stdout = script.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut said).unwrap();
    let log = std::fs::read_to_string(directory.join("log")).unwrap_or_default();
    assert_eq!(said, "started\n", "PostgreSQL did not start: {log}");
    let stdin = script.stdin.take().unwrap();
    Server {
        directory,
        _script: Mutex::new((script, stdin)),
    }
}

/// The programs of the newest version that is installed.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir(VERSIONS).ok()?.flatten();
    let number = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions
        .map(|version| version.path())
        .filter(|version| version.join("bin/initdb").exists())
        .max_by_key(|version| number(version));
    newest.map(|version| version.join("bin"))
}
