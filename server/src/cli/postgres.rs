//! The file that says where a ledger in PostgreSQL is: read once, at the start.

use std::fs;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use serde::Deserialize;
use tenantry_ledger::place::{PostgresPlace, Tls};

/// Connections of one server: one writes, the others read or wait.
const CONNECTIONS: u32 = 5;

/// What stands in the file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Form {
    host: String,
    #[serde(default = "usual_port")]
    port: u16,
    database: String,
    user: String,
    password_file: Option<PathBuf>,
    roots_file: Option<PathBuf>,
}

/// The place that the file at `path` says. No error repeats a password.
pub(super) fn place(path: &str) -> Result<PostgresPlace, String> {
    let path = Path::new(path);
    let form: Form = serde_json::from_slice(&read(path)?)
        .map_err(|error| format!("reading `{}`: {error}", path.display()))?;
    let password = form.password_file.as_deref().map(password).transpose()?;
    let is_socket = form.host.starts_with('/');
    let tls = match (&form.roots_file, is_socket) {
        (Some(roots), _) => Tls::Verified {
            roots_pem: read(roots)?,
        },
        (None, true) => Tls::Off,
        (None, false) => {
            return Err(format!(
                "the host `{}` is reached by TLS alone: name the file of its authorities in rootsFile",
                form.host
            ));
        }
    };
    Ok(PostgresPlace {
        host: form.host,
        port: form.port,
        database: form.database,
        user: form.user,
        password,
        tls,
        connections: CONNECTIONS,
    })
}

fn usual_port() -> u16 {
    5432
}

fn password(path: &Path) -> Result<SecretString, String> {
    let text = String::from_utf8(read(path)?);
    let text = text.map_err(|_| format!("`{}` is no text", path.display()))?;
    // Editors end the last line.
    Ok(SecretString::from(text.trim_end_matches(['\r', '\n'])))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("reading `{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;
    use serde_json::{Value, json};
    use tempfile::TempDir;

    use super::*;

    fn told(dir: &TempDir, form: &Value) -> Result<PostgresPlace, String> {
        let file = dir.path().join("postgres.json");
        fs::write(&file, form.to_string()).unwrap();
        place(file.to_str().unwrap())
    }

    #[test]
    fn a_database_is_a_socket_of_this_machine_or_reached_by_tls() {
        let dir = TempDir::new().unwrap();
        let (secret, roots) = (dir.path().join("password"), dir.path().join("ca.crt"));
        fs::write(&secret, "hush\n").unwrap();
        fs::write(&roots, "PEM").unwrap();
        let socket = json!({"host": "/run/pg", "database": "ledgers", "user": "acme"});
        let found = told(&dir, &socket).unwrap();
        assert_eq!((found.port, found.database.as_str()), (5432, "ledgers"));
        assert!(matches!(found.tls, Tls::Off) && found.password.is_none());

        let mut remote = json!({"host": "db", "database": "ledgers", "user": "acme"});
        assert!(told(&dir, &remote).unwrap_err().contains("rootsFile"));
        remote["rootsFile"] = json!(roots);
        remote["passwordFile"] = json!(secret);
        let found = told(&dir, &remote).unwrap();
        assert!(matches!(&found.tls, Tls::Verified { roots_pem } if roots_pem == b"PEM"));
        assert_eq!(found.password.unwrap().expose_secret(), "hush");
    }

    #[test]
    fn what_is_wrong_is_told_with_the_file() {
        let dir = TempDir::new().unwrap();
        let stray = json!({"host": "/", "database": "d", "user": "u", "password": "hush"});
        let error = told(&dir, &stray).unwrap_err();
        assert!(error.contains("postgres.json") && error.contains("password"));
        assert!(!error.contains("hush"), "{error}");
        let missing =
            json!({"host": "/", "database": "d", "user": "u", "passwordFile": "/missing"});
        assert!(told(&dir, &missing).unwrap_err().contains("/missing"));
    }
}
