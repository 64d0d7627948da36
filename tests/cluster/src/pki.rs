//! The cluster's certificates: one authority, serving certificates, client identities,
//! and the key that signs service account tokens. Made anew for every cluster, never reused.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};

/// A certificate that could not be made or kept.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// The parameters were refused; a bug of ours.
    #[error("cannot make the certificate of `{subject}`")]
    Make {
        /// Whose certificate.
        subject: String,
        /// What was wrong with it.
        #[source]
        source: rcgen::Error,
    },
    /// The file could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Signs everything in one cluster.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its private key, both PEM.
#[derive(Clone)]
pub struct Credential {
    /// The certificate.
    pub certificate: String,
    /// The private key (PKCS#8).
    pub key: String,
}

impl Authority {
    /// A new authority with a key of its own.
    pub fn new() -> Result<Self, PkiError> {
        Self::with(KeyPair::generate)
    }

    /// The authority that has this key (PEM): what it signs is good wherever the first certificate
    /// of the same key is known.
    pub fn of(key: &str) -> Result<Self, PkiError> {
        Self::with(|| KeyPair::from_pem(key))
    }

    fn with(key: impl FnOnce() -> Result<KeyPair, rcgen::Error>) -> Result<Self, PkiError> {
        let subject = "tenantry-local-ca";
        let make = || {
            let mut params = named(subject, &[])?;
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![
                KeyUsagePurpose::KeyCertSign,
                KeyUsagePurpose::DigitalSignature,
            ];
            CertifiedIssuer::self_signed(params, key()?)
        };
        make()
            .map(|issuer| Self { issuer })
            .map_err(|source| failed(subject, source))
    }

    /// The authority's own certificate and key.
    pub fn credential(&self) -> Credential {
        Credential {
            certificate: self.issuer.pem(),
            key: self.issuer.key().serialize_pem(),
        }
    }

    /// A serving certificate for these names and addresses.
    pub fn serving(&self, names: &[&str]) -> Result<Credential, PkiError> {
        self.sign(
            "kube-apiserver",
            &[],
            names,
            ExtendedKeyUsagePurpose::ServerAuth,
        )
    }

    /// A client certificate: `user` with its `groups`, as Kubernetes reads them.
    pub fn client(&self, user: &str, groups: &[&str]) -> Result<Credential, PkiError> {
        self.sign(user, groups, &[], ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(
        &self,
        subject: &str,
        groups: &[&str],
        names: &[&str],
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<Credential, PkiError> {
        let make = || {
            let mut params = named(subject, names)?;
            for group in groups {
                params
                    .distinguished_name
                    .push(DnType::OrganizationName, *group);
            }
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            params.extended_key_usages = vec![usage];
            let key = KeyPair::generate()?;
            let certificate = params.signed_by(&key, &self.issuer)?;
            Ok(Credential {
                certificate: certificate.pem(),
                key: key.serialize_pem(),
            })
        };
        make().map_err(|source| failed(subject, source))
    }
}

/// A key pair that signs service account tokens: public key in `certificate`'s place.
pub fn token_signer() -> Result<Credential, PkiError> {
    let key = KeyPair::generate().map_err(|source| failed("service account tokens", source))?;
    Ok(Credential {
        certificate: key.public_key_pem(),
        key: key.serialize_pem(),
    })
}

impl Credential {
    /// Writes `<name>.crt` and `<name>.key` (readable by their owner alone) into `dir`.
    pub fn write(&self, dir: &Path, name: &str) -> Result<(), PkiError> {
        write_private(&dir.join(format!("{name}.crt")), &self.certificate)?;
        write_private(&dir.join(format!("{name}.key")), &self.key)
    }
}

/// Writes a file that only its owner may read, in place of any other of that name.
pub fn write_private(path: &Path, text: &str) -> Result<(), PkiError> {
    let write = || {
        if path.exists() {
            fs::remove_file(path)?;
        }
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(text.as_bytes())
    };
    write().map_err(|source| PkiError::Write {
        path: path.to_owned(),
        source,
    })
}

fn named(subject: &str, names: &[&str]) -> Result<CertificateParams, rcgen::Error> {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, subject);
    Ok(params)
}

fn failed(subject: &str, source: rcgen::Error) -> PkiError {
    PkiError::Make {
        subject: subject.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn credentials_are_for_their_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::new().unwrap();
        let client = authority.client("ann", &["system:masters"]).unwrap();
        client.write(dir.path(), "ann").unwrap();
        client.write(dir.path(), "ann").unwrap();
        let mode = fs::metadata(dir.path().join("ann.key"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(client.certificate.contains("BEGIN CERTIFICATE"));
    }

    #[test]
    fn serving_certificate_takes_names_and_addresses() {
        let authority = Authority::new().unwrap();
        assert!(authority.serving(&["localhost", "127.0.0.1"]).is_ok());
    }

    #[test]
    fn token_signer_gives_a_public_key() {
        assert!(
            token_signer()
                .unwrap()
                .certificate
                .contains("BEGIN PUBLIC KEY")
        );
    }
}
