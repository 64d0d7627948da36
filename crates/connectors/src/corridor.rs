//! The one corridor to a vendor: it proves that an account is the
//! organisation's, fills a plan, follows pages within bounds and reads answers.
//! How bytes travel is in `exchange`; what an answer means is in `verdict`.

mod exchange;
mod limits;
mod progress;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value};
use tenantry_core::name::{AccountId, Currency};
use tenantry_core::tenant::AccountConfig;
use tokio::time::Instant;
use url::Url;

pub use limits::CorridorLimits;

use crate::answer;
use crate::call_error::CallError;
use crate::connector::{Connector, Tool};
use crate::corridor::exchange::{Exchange, Tally};
use crate::corridor::progress::{Progress, query_text};
use crate::plan::{ConfirmPlan, CurrencyFrom, FieldKind, OutputField, RequestPlan, Segment};
use crate::quota::QuotaObservation;
use crate::token::TokenSource;

/// The way to one vendor for one organisation.
pub struct Corridor {
    connector: Arc<Connector>,
    accounts: BTreeMap<AccountId, AccountConfig>,
    exchange: Arc<Exchange>,
    /// Accounts whose currency the vendor has confirmed; it never changes there.
    confirmed: Arc<Mutex<BTreeSet<AccountId>>>,
}

/// An account that belongs to the organisation. Only a corridor makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedAccount {
    id: AccountId,
    currency: Currency,
}

/// What a tool answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The data, in the form of the tool's output schema.
    pub data: Value,
    /// How many requests the vendor counted for it.
    pub requests: u32,
    /// The version that the vendor says it served.
    pub version_served: Option<String>,
    /// What is odd about the answer, though it is good.
    pub warnings: Vec<Warning>,
    /// The quotas as the vendor last described them.
    pub quota: Vec<QuotaObservation>,
}

/// Something odd about a good answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// The vendor served another version than the connector file pins.
    #[error("the vendor served version `{served}` instead of `{pinned}`")]
    VersionDrift {
        /// The version of the connector file.
        pinned: String,
        /// The version of the answer.
        served: String,
    },
}

/// Why there can be no corridor.
#[derive(Debug, thiserror::Error)]
pub enum CorridorError {
    /// An account is not spelt as the vendor spells accounts.
    #[error("account `{account}` is not an account of connector `{connector}`")]
    AccountSpelling {
        /// The account.
        account: AccountId,
        /// The connector.
        connector: String,
    },
    /// An account is declared twice.
    #[error("account `{0}` is declared twice")]
    AccountTwice(AccountId),
    /// The sandbox address is not a bare `http(s)://host[:port]`.
    #[error("the sandbox address of connector `{connector}` is not a bare http(s)://host[:port]")]
    SandboxAddress {
        /// The connector.
        connector: String,
    },
    /// The HTTP client cannot be built.
    #[error("building the HTTP client")]
    Client(#[source] reqwest::Error),
}

impl OwnedAccount {
    /// The account, in the vendor's spelling.
    pub fn id(&self) -> &AccountId {
        &self.id
    }

    /// Its currency, as declared.
    pub fn currency(&self) -> &Currency {
        &self.currency
    }
}

impl Corridor {
    /// The corridor for these accounts; no other account exists for it.
    /// A TLS provider must have been installed for the process before.
    pub fn new(
        connector: Arc<Connector>,
        accounts: Vec<AccountConfig>,
        base_url_override: Option<Url>,
        tokens: Arc<dyn TokenSource>,
        limits: CorridorLimits,
    ) -> Result<Self, CorridorError> {
        let mut owned = BTreeMap::new();
        for account in accounts {
            if !connector.api.account_pattern.admits(account.id.as_str()) {
                let connector = connector.name.to_string();
                return Err(CorridorError::AccountSpelling {
                    account: account.id,
                    connector,
                });
            }
            if let Some(first) = owned.insert(account.id.clone(), account) {
                return Err(CorridorError::AccountTwice(first.id));
            }
        }
        let base_url = match base_url_override {
            Some(url) if is_bare(&url) => url,
            Some(_) => {
                return Err(CorridorError::SandboxAddress {
                    connector: connector.name.to_string(),
                });
            }
            None => connector.api.base_url.clone(),
        };
        let exchange = Exchange::new(base_url, tokens, limits).map_err(CorridorError::Client)?;
        Ok(Self {
            connector,
            accounts: owned,
            exchange: Arc::new(exchange),
            confirmed: Arc::default(),
        })
    }

    /// The same way for some of the accounts, such as those of one key. It
    /// shares connections, quotas and confirmations, so that it costs little.
    #[must_use]
    pub fn narrowed(&self, keep: impl Fn(&AccountId) -> bool) -> Self {
        let kept = self.accounts.iter().filter(|(id, _)| keep(id));
        Self {
            connector: Arc::clone(&self.connector),
            accounts: kept
                .map(|(id, account)| (id.clone(), account.clone()))
                .collect(),
            exchange: Arc::clone(&self.exchange),
            confirmed: Arc::clone(&self.confirmed),
        }
    }

    /// The proof that an account is the organisation's, if it is.
    pub fn own(&self, account_id: &str) -> Option<OwnedAccount> {
        let account = self.accounts.get(&AccountId::parse(account_id).ok()?)?;
        Some(OwnedAccount {
            id: account.id.clone(),
            currency: account.currency.clone(),
        })
    }

    /// The quotas as the vendor last described them, over all calls.
    pub fn quota(&self) -> Vec<QuotaObservation> {
        self.exchange.quota()
    }

    /// Asks the vendor. The arguments must match the tool's input schema, with
    /// integers written as such, and
    /// `account` must be the one they name, if the tool has such an argument.
    /// The tool must come from the very connector that this corridor was made with.
    pub async fn read(
        &self,
        tool: &Tool,
        args: &Map<String, Value>,
        account: Option<OwnedAccount>,
        deadline: Instant,
    ) -> Result<Answer, CallError> {
        self.check(tool, args, account.as_ref())?;
        let mut tally = Tally::default();
        let work = self.pages(tool, args, account.as_ref(), deadline, &mut tally);
        let data = tokio::time::timeout_at(deadline, work)
            .await
            .map_err(|_| CallError::TimedOut {
                waited_for: "the call within its deadline",
            })??;
        let warnings = self.warnings(&tally);
        for warning in &warnings {
            tracing::warn!(connector = %self.connector.name, tool = %tool.name, "{warning}");
        }
        Ok(Answer {
            data,
            requests: tally.requests,
            version_served: tally.version_served,
            warnings,
            quota: tally.quota,
        })
    }

    fn check(
        &self,
        tool: &Tool,
        args: &Map<String, Value>,
        account: Option<&OwnedAccount>,
    ) -> Result<(), CallError> {
        if !self
            .connector
            .tools
            .iter()
            .any(|mine| std::ptr::eq(mine, tool))
        {
            return Err(CallError::ForeignTool {
                tool: tool.name.to_string(),
            });
        }
        let named = tool
            .account_argument
            .as_ref()
            .map(|argument| args.get(argument));
        let proven = account.map(|account| self.own(account.id.as_str()).as_ref() == Some(account));
        match (named, account, proven) {
            (None, None, _) => {}
            (Some(Some(Value::String(id))), Some(account), Some(true))
                if id == account.id.as_str() => {}
            _ => return Err(CallError::AccountNotOwned),
        }
        let given: Vec<String> = tool
            .plan
            .exclusive
            .iter()
            .filter(|name| args.contains_key(*name))
            .cloned()
            .collect();
        if given.len() > 1 {
            return Err(CallError::Exclusive { arguments: given });
        }
        Ok(())
    }

    async fn pages(
        &self,
        tool: &Tool,
        args: &Map<String, Value>,
        account: Option<&OwnedAccount>,
        deadline: Instant,
        tally: &mut Tally,
    ) -> Result<Value, CallError> {
        let plan = &tool.plan;
        if let Some(account) = account
            && reads_account_currency(&plan.output.fields)
        {
            self.confirm(account, deadline, tally).await?;
        }
        let mut progress = Progress::begin(plan, args);
        loop {
            let url = self.url(plan, args, account, &progress);
            let body = self
                .exchange
                .ask(&self.connector.api, &url, deadline, tally)
                .await?;
            self.take_rows(plan, &body, account, &mut progress)?;
            if progress.turn(plan, &body)? {
                return Ok(progress.into_data(plan));
            }
        }
    }

    /// Asks the vendor for the account's currency, once in the corridor's life:
    /// a wrong one would turn every amount into a hundredfold of itself.
    async fn confirm(
        &self,
        account: &OwnedAccount,
        deadline: Instant,
        tally: &mut Tally,
    ) -> Result<(), CallError> {
        let lock = || {
            self.confirmed
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        let Some(plan) = &self.connector.api.confirm else {
            return Ok(());
        };
        if lock().contains(&account.id) {
            return Ok(());
        }
        let mut url = self.exchange.url(self.path(&plan.path, Some(account)));
        let fields = format!("{},{}", plan.id_field, plan.currency_field);
        url.query_pairs_mut().append_pair("fields", &fields);
        let body = self
            .exchange
            .ask(&self.connector.api, &url, deadline, tally)
            .await?;
        check_confirmation(plan, &body, account)?;
        lock().insert(account.id.clone());
        Ok(())
    }

    fn url(
        &self,
        plan: &RequestPlan,
        args: &Map<String, Value>,
        account: Option<&OwnedAccount>,
        progress: &Progress,
    ) -> Url {
        let mut url = self.exchange.url(self.path(&plan.path, account));
        let mut query = url.query_pairs_mut();
        for (parameter, value) in &plan.query {
            if let Some(text) = query_text(plan, value, args, progress) {
                query.append_pair(parameter, &text);
            }
        }
        drop(query);
        url
    }

    fn path<'p>(
        &'p self,
        path: &'p [Segment],
        account: Option<&'p OwnedAccount>,
    ) -> impl Iterator<Item = &'p str> {
        path.iter().filter_map(move |segment| match segment {
            Segment::Literal(text) => Some(text.as_str()),
            Segment::Version => Some(self.connector.api.version.as_str()),
            // INVARIANT: the loader admits this segment only in tools that name
            // an account, and `check` admits those only with a proven one.
            Segment::Account => account.map(|account| account.id.as_str()),
        })
    }

    /// Keeps the rows of accounts that were asked for. Where one account was
    /// asked for, a row of another is an error; else it is left out.
    fn take_rows(
        &self,
        plan: &RequestPlan,
        body: &Value,
        account: Option<&OwnedAccount>,
        progress: &mut Progress,
    ) -> Result<(), CallError> {
        let malformed = |problem: String| CallError::Malformed { problem };
        for row in answer::rows(&plan.rows, body).map_err(malformed)? {
            let owner = answer::row_account(&plan.rows, row).and_then(|owner| self.own(&owner));
            match (&owner, account) {
                (Some(owner), Some(asked)) if owner.id == asked.id => {}
                (_, Some(asked)) => {
                    return Err(CallError::ForeignRow {
                        asked: asked.id.to_string(),
                    });
                }
                (Some(_), None) => {}
                (None, None) => continue,
            }
            let currency = owner.as_ref().map(|owner| &owner.currency);
            let row = answer::project(&plan.output.fields, row, currency).map_err(malformed)?;
            progress.rows.push(Value::from(row));
        }
        Ok(())
    }

    fn warnings(&self, tally: &Tally) -> Vec<Warning> {
        let pinned = &self.connector.api.version;
        let served = tally
            .version_served
            .iter()
            .filter(|served| *served != pinned);
        served
            .map(|served| Warning::VersionDrift {
                pinned: pinned.clone(),
                served: served.clone(),
            })
            .collect()
    }
}

/// Whether an amount takes its currency from the account instead of its row.
fn reads_account_currency(fields: &[OutputField]) -> bool {
    fields.iter().any(|field| match &field.kind {
        FieldKind::Money { currency, .. } => *currency == CurrencyFrom::Account,
        FieldKind::List(fields) => reads_account_currency(fields),
        _ => false,
    })
}

fn check_confirmation(
    plan: &ConfirmPlan,
    body: &Value,
    account: &OwnedAccount,
) -> Result<(), CallError> {
    let text = |field: &str| body.get(field).and_then(Value::as_str);
    if text(&plan.id_field) != Some(account.id.as_str()) {
        return Err(CallError::ForeignRow {
            asked: account.id.to_string(),
        });
    }
    let missing = || CallError::Malformed {
        problem: "an account without a currency".into(),
    };
    let vendor = text(&plan.currency_field).ok_or_else(missing)?;
    let vendor = Currency::parse(vendor).map_err(|_| missing())?;
    if vendor == account.currency {
        return Ok(());
    }
    Err(CallError::CurrencyDiffers {
        account: account.id.to_string(),
        vendor: vendor.to_string(),
        declared: account.currency.to_string(),
    })
}

fn is_bare(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
        && url.host_str().is_some_and(|host| !host.is_empty())
        && url.username().is_empty()
        && url.password().is_none()
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
}
