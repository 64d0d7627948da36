//! What a case lives in: a folder of documents, a ledger and a fake vendor, of
//! which nothing is shared with another case.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::json;
use tempfile::TempDir;
use tenantry_core::name::Organization;
use tenantry_fakes::meta::FakeMeta;
use tenantry_ledger::place::{Place, SqlitePlace};
use tenantry_server::crash::Step;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::documents::{self, TOKEN};
use crate::matrix::{Engine, Vendor};
use crate::postgres;

/// A folder of documents, a ledger and a vendor.
pub struct House {
    /// The vendor.
    pub fake: FakeMeta,
    /// Whose it is.
    pub organization: Organization,
    /// The ledger, for whoever opens it when no server has it.
    pub place: Place,
    documents: TempDir,
    kept: TempDir,
}

/// Where a process waits until something has happened elsewhere.
pub struct Gate {
    /// `step@address`.
    pub place: String,
    waiting: JoinHandle<Result<()>>,
}

impl Gate {
    /// The first process that comes to that step waits until `meanwhile` is over.
    pub async fn at(
        step: Step,
        meanwhile: impl Future<Output = Result<()>> + Send + 'static,
    ) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let place = format!("{}@{}", step.as_str(), listener.local_addr()?);
        let waiting = tokio::spawn(async move {
            let (waiting, _) = listener.accept().await?;
            // Whoever comes later finds nobody, and goes on.
            drop(listener);
            let ended = meanwhile.await;
            drop(waiting);
            ended
        });
        Ok(Self { place, waiting })
    }

    /// Whether it has come to that.
    pub fn is_passed(&self) -> bool {
        self.waiting.is_finished()
    }

    /// What became of it.
    pub async fn passed(self) -> Result<()> {
        self.waiting.await?
    }
}

async fn meddle(url: &str, parameter: (&str, &str)) -> Result<()> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let request = client.post(url).bearer_auth(TOKEN).form(&[parameter]);
    request.send().await?.error_for_status()?;
    Ok(())
}

impl House {
    /// That of an organisation of its own.
    pub async fn build(engine: Engine, vendor: Vendor, organization: &str) -> Result<Self> {
        // Another house of this process may have installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let fake = FakeMeta::start().await?;
        fake.grant(TOKEN, &["act_1001"]);
        if let Some(order) = vendor.order() {
            fake.order(order);
        }
        let (documents, kept) = (TempDir::new()?, TempDir::new()?);
        let policy = json!({"mode": "Enforce", "currency": "EUR"});
        documents::write(documents.path(), organization, &policy)?;
        let place = match engine {
            Engine::Sqlite => Place::Sqlite(SqlitePlace {
                path: kept.path().join("ledger.db"),
                least_free_bytes: 0,
            }),
            Engine::Postgres => {
                let place = postgres::place();
                let told = documents::told(&place);
                fs::write(kept.path().join("postgres.json"), told.to_string())?;
                Place::Postgres(place)
            }
        };
        Ok(Self {
            fake,
            organization: Organization::parse(organization).context("a name")?,
            place,
            documents,
            kept,
        })
    }

    /// Where the documents are.
    pub fn dir(&self) -> PathBuf {
        self.documents.path().to_owned()
    }

    /// The flag that says where the ledger is, and its value.
    pub fn ledger_flag(&self) -> (&'static str, PathBuf) {
        match self.place {
            Place::Sqlite(_) => ("--ledger-dir", self.kept.path().to_owned()),
            Place::Postgres(_) => ("--ledger-postgres", self.kept.path().join("postgres.json")),
        }
    }

    /// Somebody else changes an object, at the vendor's own door.
    pub async fn meddle(&self, object: &str, parameter: (&str, &str)) -> Result<()> {
        let url = format!("{}/v26.0/{object}", self.fake.url());
        meddle(&url, parameter).await
    }

    /// The same, while the first process that comes to that step waits for it.
    pub async fn meddle_at(
        &self,
        step: Step,
        object: &str,
        parameter: (&'static str, &'static str),
    ) -> Result<Gate> {
        let url = format!("{}/v26.0/{object}", self.fake.url());
        Gate::at(step, async move { meddle(&url, parameter).await }).await
    }

    /// Takes back what the vendor was to do and has not done.
    pub async fn forget_orders(&self) -> Result<()> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let orders = format!("{}/_oracle/orders", self.fake.url());
        client.delete(orders).send().await?.error_for_status()?;
        Ok(())
    }
}
