//! The one corridor to a vendor: it proves that an account is the
//! organisation's, fills a plan, follows pages within bounds and reads answers.
//! How bytes travel is in `exchange`; what an answer means is in `verdict`.

mod alarm;
mod change;
mod confirm;
mod create;
mod credentials;
mod exchange;
mod exposure;
mod limits;
pub mod owned;
mod ownership;
mod path;
mod progress;
mod quotas;
mod report;
mod spend_root;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value, json};
use tenantry_core::name::AccountId;
use tenantry_core::tenant::AccountConfig;
use tokio::time::Instant;
use url::Url;

pub use alarm::Warning;
pub use limits::CorridorLimits;

use crate::answer;
use crate::call_error::CallError;
use crate::connector::{Connector, Named, Tool};
use crate::corridor::confirm::reads_account_currency;
use crate::corridor::exchange::{Exchange, Tally};
use crate::corridor::limits::within;
use crate::corridor::owned::{Owned, OwnedAccount};
use crate::corridor::ownership::Owners;
use crate::corridor::path::Slot;
use crate::corridor::progress::{Progress, query_text};
use crate::plan::{
    AccountPlan, PagingPlan, QueryValue, RequestPlan, RowPlan, RowsPlan, Shape, ToolPlan,
};
use crate::quota::QuotaObservation;
use crate::token::TokenSource;
use crate::transport::{Network, Transport};

/// The way to one vendor for one organisation.
pub struct Corridor {
    connector: Arc<Connector>,
    accounts: BTreeMap<AccountId, AccountConfig>,
    exchange: Arc<Exchange>,
    /// Accounts whose currency the vendor has confirmed; it never changes there.
    confirmed: Arc<Mutex<BTreeSet<AccountId>>>,
    owners: Arc<Owners>,
    /// What is odd about the version, as it was last told.
    alarm: Arc<Mutex<Vec<Warning>>>,
}

/// How a corridor reaches its vendor; by default at the vendor's own address,
/// over the network.
#[derive(Clone, Default)]
pub struct Way {
    /// Another address; only sandboxes have one.
    pub base_url: Option<Url>,
    /// The HTTP proxy on the way, `http://host:port`.
    pub proxy: Option<String>,
    /// Something else than the network.
    pub transport: Option<Arc<dyn Transport>>,
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

/// One read, while it is being made.
#[derive(Clone, Copy)]
struct Asking<'r> {
    plan: &'r RequestPlan,
    args: &'r Map<String, Value>,
    subject: Option<&'r Owned>,
    /// The argument by which a report is asked for again.
    report_argument: &'r str,
    deadline: Instant,
}

impl<'r> Asking<'r> {
    /// The parameters of the question: all of them, or those that are not about
    /// pages. What a report is about was said when it was begun.
    fn query(&self, with_pages: bool) -> impl Iterator<Item = &'r (String, QueryValue)> {
        let report = self.plan.report.as_ref().map(|report| &report.kind);
        let is_report = matches!(self.subject, Some(Owned::Object(object)) if Some(object.kind()) == report.map(String::as_str));
        let paging = match &self.plan.shape {
            Shape::List(_, paging) => Some(paging),
            Shape::One(_) => None,
        };
        self.plan
            .query
            .iter()
            .filter(move |(_, value)| match value {
                QueryValue::Text(_) => true,
                QueryValue::Argument { name, .. } => match paging {
                    Some(paging) if paging.is_about(name) => with_pages,
                    _ => !is_report,
                },
            })
    }

    fn account(&self) -> Option<&OwnedAccount> {
        self.subject.map(Owned::account)
    }
}

impl Corridor {
    /// The corridor for these accounts; no other account exists for it.
    /// A TLS provider must have been installed for the process before.
    pub fn new(
        connector: Arc<Connector>,
        accounts: Vec<AccountConfig>,
        way: Way,
        tokens: Arc<dyn TokenSource>,
        limits: CorridorLimits,
    ) -> Result<Self, CorridorError> {
        let accounts = by_id(&connector, accounts)?;
        let base_url = match way.base_url {
            Some(url) if is_bare(&url) => url,
            Some(_) => {
                return Err(CorridorError::SandboxAddress {
                    connector: connector.name.to_string(),
                });
            }
            None => connector.api.base_url.clone(),
        };
        let transport = if let Some(transport) = way.transport {
            transport
        } else {
            let is_https_only = base_url.scheme() == "https";
            let network = Network::new(is_https_only, way.proxy.as_deref(), limits);
            Arc::new(network.map_err(CorridorError::Client)?)
        };
        let exchange = Exchange::new(base_url, transport, tokens, limits);
        Ok(Self {
            connector,
            accounts,
            exchange: Arc::new(exchange),
            confirmed: Arc::default(),
            owners: Arc::default(),
            alarm: Arc::default(),
        })
    }

    /// The same way for other accounts, when the contract changes. It shares
    /// connections and quotas; a confirmation counts as long as what it
    /// confirmed is still declared.
    pub fn for_accounts(&self, accounts: Vec<AccountConfig>) -> Result<Self, CorridorError> {
        let accounts = by_id(&self.connector, accounts)?;
        let confirmed = self
            .confirmed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let currency = |account: &AccountConfig| account.currency.clone();
        let still = |id: &&AccountId| {
            let before = self.accounts.get(*id).map(currency);
            before.is_some() && before == accounts.get(*id).map(currency)
        };
        let confirmed = confirmed.iter().filter(still).cloned().collect();
        Ok(Self {
            connector: Arc::clone(&self.connector),
            accounts,
            exchange: Arc::clone(&self.exchange),
            confirmed: Arc::new(Mutex::new(confirmed)),
            owners: Arc::clone(&self.owners),
            alarm: Arc::clone(&self.alarm),
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
            owners: Arc::clone(&self.owners),
            alarm: Arc::clone(&self.alarm),
        }
    }

    /// The proof that an account is the organisation's, if it is.
    pub fn own(&self, account_id: &str) -> Option<OwnedAccount> {
        let account = self.accounts.get(account_id)?;
        Some(OwnedAccount::new(
            account.id.clone(),
            account.currency.clone(),
        ))
    }

    /// Whether budgets of advertising are held there.
    pub fn holds_budgets(&self) -> bool {
        self.connector.api.spend_root.is_some()
    }

    /// The quotas as the vendor last described them, over all calls.
    pub fn quota(&self) -> Vec<QuotaObservation> {
        self.exchange.quota()
    }

    /// Asks the vendor. The arguments must match the tool's input schema, with
    /// integers written as such, and `subject` must be what they name, if the
    /// tool asks about something.
    /// The tool must come from the very connector that this corridor was made with.
    pub async fn read(
        &self,
        tool: &Tool,
        args: &Map<String, Value>,
        subject: Option<Owned>,
        deadline: Instant,
    ) -> Result<Answer, CallError> {
        self.check(tool, args, subject.as_ref())?;
        let ToolPlan::Read(plan) = &tool.plan else {
            return Err(foreign(tool));
        };
        exclude(&plan.exclusive, args)?;
        let mut tally = Tally {
            account: subject.as_ref().map(|one| one.account().id().clone()),
            ..Tally::default()
        };
        let asking = Asking {
            plan,
            args,
            subject: subject.as_ref(),
            report_argument: tool.report_argument(),
            deadline,
        };
        let work = self.ask(&asking, &mut tally);
        let data = within(deadline, "the call within its deadline", work).await?;
        let warnings = self.warnings(&tally);
        self.tell(&warnings);
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
        subject: Option<&Owned>,
    ) -> Result<(), CallError> {
        if !self
            .connector
            .tools
            .iter()
            .any(|mine| std::ptr::eq(mine, tool))
        {
            return Err(foreign(tool));
        }
        let is_proven = match (tool.named(args)?, subject) {
            (Named::Nothing, None) => true,
            (Named::Account(id), Some(Owned::Account(account))) => {
                id == account.id().as_str() && self.is_ours(account)
            }
            (Named::Object(claimed), Some(Owned::Object(object))) => {
                object.is(&claimed) && self.is_ours(object.account())
            }
            _ => false,
        };
        if !is_proven {
            return Err(CallError::AccountNotOwned);
        }
        Ok(())
    }

    /// Whether the proof is of this corridor, or of one just like it.
    fn is_ours(&self, account: &OwnedAccount) -> bool {
        self.own(account.id().as_str()).as_ref() == Some(account)
    }

    async fn ask(&self, asking: &Asking<'_>, tally: &mut Tally) -> Result<Value, CallError> {
        let plan = asking.plan;
        if let Some(account) = asking.account()
            && reads_account_currency(&plan.output.fields)
        {
            self.confirm(account, asking.deadline, tally).await?;
        }
        match &plan.shape {
            Shape::List(rows, paging) => self.rows_or_report(asking, rows, paging, tally).await,
            Shape::One(row) => self.one(asking, row, tally).await,
        }
    }

    async fn pages(
        &self,
        asking: &Asking<'_>,
        rows: &RowsPlan,
        paging: &PagingPlan,
        tally: &mut Tally,
    ) -> Result<Value, CallError> {
        let mut progress = Progress::begin(paging, asking.args);
        loop {
            let url = self.url(asking, Some((paging, &progress)));
            let body = self
                .exchange
                .ask(&self.connector.api, &url, asking.deadline, tally)
                .await?;
            self.take_rows(asking, rows, &body, &mut progress)?;
            if progress.turn(paging, &body)? {
                return Ok(progress.into_data(&asking.plan.output.name));
            }
        }
    }

    /// The one object that was asked for, if it is that one.
    async fn one(
        &self,
        asking: &Asking<'_>,
        row: &RowPlan,
        tally: &mut Tally,
    ) -> Result<Value, CallError> {
        let url = self.url(asking, None);
        let body = self
            .exchange
            .ask(&self.connector.api, &url, asking.deadline, tally)
            .await?;
        let id = body.get(&row.id_field).and_then(Value::as_str);
        if id != asking.subject.map(Owned::segment) {
            let problem = "the vendor answered with another object".into();
            return Err(CallError::Malformed { problem });
        }
        let taken = self.take_row(asking, Some(&row.account), &body)?;
        Ok(json!({asking.plan.output.name.as_str(): taken}))
    }

    fn url(&self, asking: &Asking<'_>, pages: Option<(&PagingPlan, &Progress)>) -> Url {
        let slot = asking.subject.map_or(Slot::None, Slot::Owned);
        let version = &self.connector.api.version;
        let mut url = self
            .exchange
            .url(path::fill(&asking.plan.path, version, slot));
        let mut query = url.query_pairs_mut();
        for (parameter, value) in asking.query(pages.is_some()) {
            if let Some(text) = query_text(value, asking.args, pages) {
                query.append_pair(parameter, &text);
            }
        }
        drop(query);
        url
    }

    /// Keeps the rows of accounts that were asked for. Where one account was
    /// asked for, a row of another is an error; else it is left out.
    fn take_rows(
        &self,
        asking: &Asking<'_>,
        plan: &RowsPlan,
        body: &Value,
        progress: &mut Progress,
    ) -> Result<(), CallError> {
        let malformed = |problem: String| CallError::Malformed { problem };
        let rows = answer::rows(plan, body).map_err(malformed)?;
        if u64::try_from(rows.len()).unwrap_or(u64::MAX) > progress.missing() {
            return Err(malformed("more rows than were asked for".into()));
        }
        for row in rows {
            let taken = self.take_row(asking, plan.account.as_ref(), row)?;
            progress.rows.extend(taken);
        }
        Ok(())
    }

    fn take_row(
        &self,
        asking: &Asking<'_>,
        plan: Option<&AccountPlan>,
        row: &Value,
    ) -> Result<Option<Value>, CallError> {
        let owner = match plan {
            Some(plan) => answer::row_account(plan, row).and_then(|owner| self.own(&owner)),
            None => asking.account().cloned(),
        };
        match (&owner, asking.account()) {
            (Some(owner), Some(asked)) if owner == asked => {}
            (_, Some(asked)) => {
                return Err(CallError::ForeignRow {
                    asked: asked.id().to_string(),
                });
            }
            (Some(_), None) => {}
            (None, None) => return Ok(None),
        }
        let currency = owner.as_ref().map(OwnedAccount::currency);
        answer::project(&asking.plan.output.fields, row, currency)
            .map(|row| Some(Value::from(row)))
            .map_err(|problem| CallError::Malformed { problem })
    }
}

/// A tool that is not for this.
fn foreign(tool: &Tool) -> CallError {
    CallError::ForeignTool {
        tool: tool.name.to_string(),
    }
}

/// At most one of these arguments is given.
fn exclude(exclusive: &[String], args: &Map<String, Value>) -> Result<(), CallError> {
    let given = exclusive.iter().filter(|name| args.contains_key(*name));
    let given: Vec<String> = given.cloned().collect();
    match given.len() {
        0 | 1 => Ok(()),
        _ => Err(CallError::Exclusive { arguments: given }),
    }
}

/// The accounts by their id, each spelt as the vendor spells them, and once.
fn by_id(
    connector: &Connector,
    accounts: Vec<AccountConfig>,
) -> Result<BTreeMap<AccountId, AccountConfig>, CorridorError> {
    let mut by_id = BTreeMap::new();
    for account in accounts {
        if !connector.api.account_pattern.admits(account.id.as_str()) {
            let connector = connector.name.to_string();
            return Err(CorridorError::AccountSpelling {
                account: account.id,
                connector,
            });
        }
        if let Some(first) = by_id.insert(account.id.clone(), account) {
            return Err(CorridorError::AccountTwice(first.id));
        }
    }
    Ok(by_id)
}

/// Whether `url` is a bare `http(s)://host[:port]`: a user, a path, a query or a
/// fragment would be lost, or end up in every request.
pub fn is_bare(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
        && url.host_str().is_some_and(|host| !host.is_empty())
        && url.username().is_empty()
        && url.password().is_none()
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
}
