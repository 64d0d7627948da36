//! Secrets that the process holds itself, where no kubelet mounts them. They
//! are in its memory and nowhere else, so they are gone with it, however it ends.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use secrecy::SecretString;
use tenantry_connectors::token::{TokenError, TokenSource};
use tenantry_core::name::{ConnectorName, DestinationName};

use super::{APP_SECRET, TOKEN, checked, count_request};

/// The keys of a Secret.
pub type Keys = BTreeMap<String, Vec<u8>>;

/// The Secrets, each with its keys.
#[derive(Default)]
pub struct Secrets {
    /// Of each connector that has one.
    pub connectors: BTreeMap<ConnectorName, Keys>,
    /// Of each destination of notifications that has one.
    pub destinations: BTreeMap<DestinationName, Keys>,
}

/// What the process holds.
#[derive(Default)]
pub struct HeldSecrets {
    held: Mutex<BTreeMap<ConnectorName, Held>>,
    destinations: Mutex<BTreeMap<DestinationName, Keys>>,
}

/// The two keys of a Secret that say something.
struct Held {
    token: Result<SecretString, TokenError>,
    app_secret: Result<SecretString, TokenError>,
}

/// The token of one connector, as it is held at the moment.
pub(super) struct HeldTokenSource {
    secrets: Arc<HeldSecrets>,
    connector: ConnectorName,
}

impl HeldSecrets {
    /// Holds exactly these from now on.
    pub fn hold(&self, secrets: &Secrets) {
        let held = secrets.connectors.iter().map(|(connector, keys)| {
            let read = |key: &str| match keys.get(key) {
                Some(value) => checked(value, || place(connector, key)),
                None => Err(missing(connector, key)),
            };
            let held = Held {
                token: read(TOKEN),
                app_secret: read(APP_SECRET),
            };
            (connector.clone(), held)
        });
        let held = held.collect();
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = held;
        let destinations = self.destinations.lock();
        *destinations.unwrap_or_else(PoisonError::into_inner) = secrets.destinations.clone();
    }

    /// One key of the Secret of a destination.
    pub(crate) fn of_destination(
        &self,
        destination: &DestinationName,
        key: &str,
    ) -> Result<SecretString, TokenError> {
        let place =
            || format!("`{key}` in the Secret of destination `{destination}` among the documents");
        let held = self.destinations.lock();
        let held = held.unwrap_or_else(PoisonError::into_inner);
        match held.get(destination).and_then(|keys| keys.get(key)) {
            Some(value) => checked(value, place),
            None => Err(TokenError::Missing { place: place() }),
        }
    }

    fn read(
        &self,
        connector: &ConnectorName,
        key: &str,
        of: impl Fn(&Held) -> &Result<SecretString, TokenError>,
    ) -> Result<SecretString, TokenError> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        match held.get(connector) {
            Some(held) => of(held).clone(),
            None => Err(missing(connector, key)),
        }
    }
}

impl HeldTokenSource {
    pub(super) fn new(secrets: Arc<HeldSecrets>, connector: ConnectorName) -> Self {
        Self { secrets, connector }
    }
}

impl TokenSource for HeldTokenSource {
    fn token(&self) -> Result<SecretString, TokenError> {
        let token = self
            .secrets
            .read(&self.connector, TOKEN, |held| &held.token)?;
        count_request();
        Ok(token)
    }

    fn app_secret(&self) -> Result<Option<SecretString>, TokenError> {
        let secret = self
            .secrets
            .read(&self.connector, APP_SECRET, |held| &held.app_secret);
        match secret {
            Ok(secret) => Ok(Some(secret)),
            Err(TokenError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn place(connector: &ConnectorName, key: &str) -> String {
    format!("`{key}` in the Secret of connector `{connector}` among the documents")
}

fn missing(connector: &ConnectorName, key: &str) -> TokenError {
    TokenError::Missing {
        place: place(connector, key),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn name(name: &str) -> ConnectorName {
        ConnectorName::parse(name).unwrap()
    }

    fn secrets(connector: &str, keys: &[(&str, &str)]) -> Secrets {
        let keys = keys
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec()));
        Secrets {
            connectors: [(name(connector), keys.collect())].into(),
            destinations: BTreeMap::new(),
        }
    }

    #[test]
    fn what_was_given_last_is_held_and_nothing_else() {
        let held = Arc::new(HeldSecrets::default());
        let source = |connector| HeldTokenSource::new(Arc::clone(&held), name(connector));
        let (meta, google) = (source("meta"), source("google"));
        let is_missing = |token| matches!(token, Err(TokenError::Missing { .. }));
        assert!(is_missing(meta.token()));
        held.hold(&secrets("meta", &[(TOKEN, "a\n"), (APP_SECRET, "b")]));
        assert_eq!(meta.token().unwrap().expose_secret(), "a");
        let app_secret = meta.app_secret().unwrap().unwrap();
        assert_eq!(app_secret.expose_secret(), "b");
        assert!(is_missing(google.token()));
        held.hold(&secrets("meta", &[(TOKEN, "c")]));
        assert_eq!(meta.token().unwrap().expose_secret(), "c");
        assert!(meta.app_secret().unwrap().is_none());
        held.hold(&secrets("google", &[]));
        assert!(is_missing(meta.token()));
        assert!(is_missing(google.token()));
    }

    #[test]
    fn what_cannot_stand_in_a_header_is_told_without_itself() {
        let held = Arc::new(HeldSecrets::default());
        let meta = HeldTokenSource::new(Arc::clone(&held), name("meta"));
        for text in ["hush hush", "hüsh", &"hush".repeat(2_000)] {
            held.hold(&secrets("meta", &[(TOKEN, text)]));
            let error = meta.token().unwrap_err().to_string();
            assert!(error.contains("`access_token`"), "{error}");
            assert!(
                !error.contains("hush") && !error.contains("hüsh"),
                "{error}"
            );
        }
    }
}
