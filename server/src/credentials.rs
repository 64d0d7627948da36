//! The vendors' tokens, as the kubelet mounts them: one folder a connector,
//! one file `access_token`; or as the process holds them. A token never leaves
//! this module but through `TokenSource`, and never reaches a log.

pub mod held;

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use secrecy::SecretString;
use tenantry_connectors::token::{TokenError, TokenSource};
use tenantry_core::name::ConnectorName;

use held::{HeldSecrets, HeldTokenSource};

/// The keys of the Secret that hold the token and the app's secret.
const TOKEN: &str = "access_token";
const APP_SECRET: &str = "app_secret";

/// How long a token is used before its file is looked at again. The kubelet
/// takes 60–90 s to bring a new one, so a second more is nothing.
const RECHECK: Duration = Duration::from_secs(1);

/// Meta's tokens are under 300 bytes, Google's under 2,048.
const LONGEST: u64 = 4_096;

tokio::task_local! {
    /// Counts the vendor requests of the call that runs in this task.
    static REQUESTS: Arc<AtomicU32>;
}

/// Runs `work`, counting its vendor requests in `requests` as they are made.
/// A corridor takes the token anew for each request, so the tokens handed out
/// are the requests, of calls that fail or are cut off as well.
pub async fn counting<T>(requests: Arc<AtomicU32>, work: impl Future<Output = T>) -> T {
    REQUESTS.scope(requests, work).await
}

/// Where the connectors' Secrets are.
#[derive(Clone)]
pub enum Credentials {
    /// Below this folder, as the kubelet mounts them.
    Dir(PathBuf),
    /// In the process.
    Held(Arc<HeldSecrets>),
}

impl Credentials {
    /// The token of `connector`; it need not be there yet.
    pub fn source(&self, connector: &ConnectorName) -> Arc<dyn TokenSource> {
        match self {
            Self::Dir(dir) => Arc::new(FileTokenSource::new(dir, connector)),
            Self::Held(held) => {
                let held = Arc::clone(held);
                Arc::new(HeldTokenSource::new(held, connector.clone()))
            }
        }
    }
}

/// The token of one connector, read from its file.
pub struct FileTokenSource {
    token: SecretFile,
    app_secret: SecretFile,
}

/// One key of a mounted Secret.
pub(crate) struct SecretFile {
    path: PathBuf,
    last: Mutex<Option<Look>>,
}

/// One look at the file.
struct Look {
    at: Instant,
    file: Option<FileId>,
    token: Result<SecretString, TokenError>,
}

/// What changes when the kubelet swaps the folder's symlink, or somebody
/// writes into the file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl FileTokenSource {
    /// The token of `connector` below `dir`; it need not be there yet.
    pub fn new(dir: &Path, connector: &ConnectorName) -> Self {
        let file = |key| SecretFile::new(dir.join(connector.as_str()).join(key));
        Self {
            token: file(TOKEN),
            app_secret: file(APP_SECRET),
        }
    }

    #[cfg(test)]
    fn token_at(&self, now: Instant) -> Result<SecretString, TokenError> {
        self.token.read_at(now)
    }
}

impl SecretFile {
    /// The key in the file at `path`; it need not be there yet.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            last: Mutex::new(None),
        }
    }

    /// What is in it, as it was found within the last second.
    pub(crate) fn read_at(&self, now: Instant) -> Result<SecretString, TokenError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(look) = last.as_mut() {
            if now.duration_since(look.at) < RECHECK {
                return look.token.clone();
            }
            if look.file.is_some() && look.file == file_id(&self.path) {
                look.at = now;
                return look.token.clone();
            }
        }
        // The id is taken before the content: a swap in between is then seen
        // at the next look, never missed.
        let file = file_id(&self.path);
        let token = self.read();
        last.insert(Look {
            at: now,
            file,
            token,
        })
        .token
        .clone()
    }

    fn read(&self) -> Result<SecretString, TokenError> {
        let place = || self.path.display().to_string();
        let unreadable = |problem: &str| TokenError::Unreadable {
            place: place(),
            problem: problem.into(),
        };
        let file = match fs::File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(TokenError::Missing { place: place() });
            }
            Err(error) => return Err(unreadable(&error.kind().to_string())),
        };
        let mut content = Vec::new();
        let read = file.take(LONGEST + 1).read_to_end(&mut content);
        // A kind, not an error: its text might one day hold some of the content.
        read.map_err(|error| unreadable(&error.kind().to_string()))?;
        checked(&content, place)
    }
}

impl TokenSource for FileTokenSource {
    fn token(&self) -> Result<SecretString, TokenError> {
        let token = self.token.read_at(Instant::now())?;
        count_request();
        Ok(token)
    }

    fn app_secret(&self) -> Result<Option<SecretString>, TokenError> {
        match self.app_secret.read_at(Instant::now()) {
            Ok(secret) => Ok(Some(secret)),
            Err(TokenError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn count_request() {
    // Outside of a call, as for the report, there is nothing to count.
    let _ = REQUESTS.try_with(|requests| requests.fetch_add(1, Ordering::Relaxed));
}

/// The token that is in `content`, if it is one.
fn checked(content: &[u8], place: impl Fn() -> String) -> Result<SecretString, TokenError> {
    let unreadable = |problem: &str| TokenError::Unreadable {
        place: place(),
        problem: problem.into(),
    };
    if content.len() as u64 > LONGEST {
        return Err(unreadable("it is longer than 4096 bytes"));
    }
    let text = std::str::from_utf8(content).map_err(|_| unreadable("it is no text"))?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(TokenError::Missing { place: place() }),
        token if is_clean(token) => Ok(SecretString::from(token.to_owned())),
        _ => Err(unreadable(
            "it holds a character that cannot stand in a header",
        )),
    }
}

fn is_clean(token: &str) -> bool {
    token.bytes().all(|byte| byte.is_ascii_graphic())
}

fn file_id(path: &Path) -> Option<FileId> {
    let metadata = fs::metadata(path).ok()?;
    Some(FileId {
        device: metadata.dev(),
        inode: metadata.ino(),
        length: metadata.len(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
    })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn meta() -> ConnectorName {
        ConnectorName::parse("meta").unwrap()
    }

    /// Mounts `token` as the kubelet does: behind a symlink that is swapped.
    fn mount(dir: &Path, version: &str, token: &str) {
        let versioned = dir.join("meta").join(version);
        fs::create_dir_all(&versioned).unwrap();
        fs::write(versioned.join(TOKEN), token).unwrap();
        let swapped = dir.join("meta").join("new");
        std::os::unix::fs::symlink(versioned.join(TOKEN), &swapped).unwrap();
        fs::rename(swapped, dir.join("meta").join(TOKEN)).unwrap();
    }

    #[test]
    fn a_rotated_token_is_taken_up_after_the_recheck() {
        let dir = tempfile::tempdir().unwrap();
        let source = FileTokenSource::new(dir.path(), &meta());
        let start = Instant::now();
        assert!(matches!(
            source.token_at(start),
            Err(TokenError::Missing { .. })
        ));
        mount(dir.path(), "1", "first\n");
        assert!(matches!(
            source.token_at(start),
            Err(TokenError::Missing { .. })
        ));
        let read = |now| source.token_at(now).unwrap().expose_secret().to_owned();
        assert_eq!(read(start + RECHECK), "first");
        mount(dir.path(), "2", "other");
        assert_eq!(read(start + RECHECK), "first");
        assert_eq!(read(start + 2 * RECHECK), "other");
    }

    #[test]
    fn what_cannot_stand_in_a_header_is_no_token() {
        let dir = tempfile::tempdir().unwrap();
        for (version, text) in ["a b", "a\nb", "tökén", "a\0", &"x".repeat(5_000)]
            .iter()
            .enumerate()
        {
            mount(dir.path(), &version.to_string(), text);
            let error = FileTokenSource::new(dir.path(), &meta())
                .token()
                .unwrap_err();
            assert!(matches!(error, TokenError::Unreadable { .. }), "{text}");
            assert!(!error.to_string().contains(text), "{error}");
        }
        mount(dir.path(), "empty", "\n");
        let error = FileTokenSource::new(dir.path(), &meta())
            .token()
            .unwrap_err();
        assert!(matches!(error, TokenError::Missing { .. }));
    }
}
