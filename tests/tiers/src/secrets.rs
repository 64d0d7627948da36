//! The secrets of one run. No test of the cluster tier uses the values that the
//! example publishes, so that a value which is seen somewhere was leaked.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tenantry_core::digest::Digest;
use tenantry_core::key::ApiKey;
use tenantry_core::name::KeyId;

use crate::canary::Canary;

/// Names the file of the run's secrets, in the environment of the tests.
pub const VARIABLE: &str = "TENANTRY_RUN_SECRETS";

/// The example's own values, which the run's replace.
const EXAMPLE_TOKEN: &str = "access_token: sandbox-meta-token";
const EXAMPLE_KEY: &str =
    "tnt_demo_2f2c8d3f4faeccb5f2b14fbec17c8956a77e14dadc1add65510e5a9628ff66ca12f32aca";

/// Secrets that only this run knows, all from one seed.
#[derive(Debug)]
pub struct RunSecrets {
    seed: String,
}

impl RunSecrets {
    /// New ones.
    pub fn generate() -> Result<Self> {
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
        let seed = Digest::of(&random).to_string();
        Ok(Self { seed })
    }

    /// Those of the run that this test belongs to.
    pub fn from_environment() -> Result<Self> {
        let path = std::env::var(VARIABLE)
            .with_context(|| format!("{VARIABLE} names no file; run `cargo xtask test cluster`"))?;
        let seed = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        Ok(Self { seed })
    }

    /// Writes them where only this user reads them.
    pub fn save(&self, path: &Path) -> Result<()> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path);
        file.and_then(|mut file| file.write_all(self.seed.as_bytes()))
            .with_context(|| format!("write {}", path.display()))
    }

    /// What the vendor is called with. It has a character that URLs escape, as
    /// Meta's app tokens have.
    pub fn vendor_token(&self) -> String {
        format!("10042|{}", self.value("vendor token"))
    }

    /// The vendor's app secret, beside the token.
    pub fn app_secret(&self) -> String {
        self.value("app secret")
    }

    /// In a Secret that is none of the server's business; with characters that
    /// JSON and YAML escape.
    pub fn stranger(&self) -> String {
        format!("pa\"ss\\w/rd+{}", self.value("stranger"))
    }

    /// The key that the tests call with.
    pub fn key(&self) -> Result<ApiKey> {
        self.key_of("demo", "key")
    }

    /// A key of the same id that nobody has issued.
    pub fn wrong_key(&self) -> Result<ApiKey> {
        self.key_of("demo", "wrong key")
    }

    /// Something that a caller puts where no secret belongs.
    pub fn misplaced(&self, place: &str) -> String {
        self.value(place)
    }

    /// All of them but what is misplaced, to be searched for.
    pub fn canaries(&self) -> Result<Vec<Canary>> {
        Ok(vec![
            Canary::new("vendor token", self.vendor_token()),
            Canary::new("app secret", self.app_secret()),
            Canary::new("value of another Secret", self.stranger()),
            Canary::new("API key", secret_of(&self.key()?)),
            Canary::new("refused API key", secret_of(&self.wrong_key()?)),
        ])
    }

    /// The manifests of the example with the run's secrets in place of its own.
    pub fn replace_in(&self, example: &str) -> Result<String> {
        let published = ApiKey::parse(EXAMPLE_KEY)?.digest().to_string();
        for expected in [EXAMPLE_TOKEN, EXAMPLE_KEY, published.as_str()] {
            ensure!(
                example.contains(expected),
                "the example does not say `{expected}`"
            );
        }
        let token = format!(
            "access_token: {}\n  app_secret: {}",
            Value::from(self.vendor_token()),
            Value::from(self.app_secret())
        );
        let stranger = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "stranger", "namespace": "acme"},
            "stringData": {"password": self.stranger()},
        });
        let manifests = example
            .replace(EXAMPLE_TOKEN, &token)
            .replace(EXAMPLE_KEY, "(this run's)")
            .replace(&published, &self.key()?.digest().to_string());
        Ok(format!("{manifests}\n---\n{stranger}\n"))
    }

    fn key_of(&self, id: &str, name: &str) -> Result<ApiKey> {
        let hex = self.value(name);
        let mut secret = [0; 32];
        for (byte, place) in secret.iter_mut().zip((0..hex.len()).step_by(2)) {
            *byte = u8::from_str_radix(&hex[place..place + 2], 16)?;
        }
        Ok(ApiKey::new(KeyId::parse(id)?, secret))
    }

    /// 64 hexadecimal digits that follow from the seed and a name.
    fn value(&self, name: &str) -> String {
        let digest = Digest::of(format!("{}/{name}", self.seed).as_bytes()).to_string();
        digest.trim_start_matches("sha256:").to_owned()
    }
}

/// The part of a key that is secret: its id is public, its check digits tell
/// nothing.
fn secret_of(key: &ApiKey) -> String {
    let written = key.reveal();
    let secret = written.rsplit('_').next().unwrap_or_default();
    secret.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../examples/acme.yaml");

    #[test]
    fn nothing_that_the_example_publishes_is_left_in_it() {
        let secrets = RunSecrets::generate().unwrap();
        let manifests = secrets.replace_in(EXAMPLE).unwrap();
        assert!(!manifests.contains("sandbox-meta-token"));
        assert!(!manifests.contains("tnt_demo_"));
        let digest = secrets.key().unwrap().digest().to_string();
        assert_eq!(manifests.matches(&digest).count(), 1);
    }

    #[test]
    fn each_run_has_secrets_of_its_own_and_each_secret_its_own_value() {
        let [one, other] = [(); 2].map(|()| RunSecrets::generate().unwrap().canaries().unwrap());
        let values: std::collections::BTreeSet<_> = one
            .iter()
            .chain(&other)
            .map(|canary| &canary.value)
            .collect();
        assert_eq!(values.len(), one.len() + other.len());
    }

    #[test]
    fn saved_secrets_are_the_same_ones() {
        let secrets = RunSecrets::generate().unwrap();
        let read = RunSecrets {
            seed: secrets.seed.clone(),
        };
        assert_eq!(read.canaries().unwrap(), secrets.canaries().unwrap());
    }
}
