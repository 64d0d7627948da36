//! Spend roots, read whole and anew: what a change does to money depends on all
//! of it, and what was read a minute ago may not be so any more.

use serde_json::Value;
use tenantry_core::name::ObjectId;
use tokio::time::Instant;
use url::Url;

use super::Corridor;
use super::exchange::{Tally, Urgency};
use super::limits::within;
use super::owned::{Owned, OwnedAccount, OwnedObject};
use super::path::{self, Slot};
use crate::answer;
use crate::call_error::CallError;
use crate::plan::ObjectsPlan;
use crate::plan::spend_root::{BelowPlan, LevelPlan, SpendRootPlan};
use crate::snapshot::{self, Amounts, Row, Snapshot};

/// Of a vendor's cursor.
const LONGEST_CURSOR: usize = 2_000;

/// One reading of a spend root.
struct Reading<'r> {
    plan: &'r SpendRootPlan,
    objects: &'r ObjectsPlan,
    account: &'r OwnedAccount,
    deadline: Instant,
    tally: Tally,
}

impl Corridor {
    /// The spend root of `object` as it is now, whole, with its account's
    /// currency compared with the vendor's once more. Two requests, one more
    /// where `object` is not the root itself, and one for each page of a level.
    pub async fn spend_root(
        &self,
        object: &OwnedObject,
        deadline: Instant,
    ) -> Result<Snapshot, CallError> {
        self.whole(object, Urgency::Usual, deadline).await
    }

    async fn whole(
        &self,
        object: &OwnedObject,
        urgency: Urgency,
        deadline: Instant,
    ) -> Result<Snapshot, CallError> {
        let mut reading = self.reading(object, urgency, deadline)?;
        let work = self.read_root(object, &mut reading);
        let snapshot = within(deadline, "the spend root within the deadline", work).await?;
        self.tell(&self.warnings(&reading.tally));
        Ok(snapshot)
    }

    /// What there is before something is switched off. Nothing stops a pause:
    /// what cannot be read whole, or not in half of the time, is read as far as
    /// the switch of the object itself.
    pub(super) async fn before_a_stop(
        &self,
        object: &OwnedObject,
        level: &LevelPlan,
        deadline: Instant,
    ) -> Result<Snapshot, CallError> {
        let now = Instant::now();
        let half = now + deadline.saturating_duration_since(now) / 2;
        let error = match self.whole(object, Urgency::Stop, half).await {
            Ok(snapshot) => return Ok(snapshot),
            Err(error) => error,
        };
        tracing::warn!(
            object = object.id(),
            "switching off what cannot be read whole: {error}"
        );
        let mut reading = self.reading(object, Urgency::Stop, deadline)?;
        let asked = self.root_of(object, &mut reading);
        let root = within(deadline, "the root of an object", asked).await?;
        let row = self
            .read_alone(object, &level.switch_alone(), Urgency::Stop, deadline)
            .await?;
        let currency = object.account().currency().clone();
        snapshot::alone(currency, id(root.id())?, root.kind(), row).map_err(malformed)
    }

    /// One object of a spend root, by itself.
    pub(super) async fn read_alone(
        &self,
        object: &OwnedObject,
        level: &LevelPlan,
        urgency: Urgency,
        deadline: Instant,
    ) -> Result<Row, CallError> {
        let mut reading = self.reading(object, urgency, deadline)?;
        let fields: Vec<&str> = level.fields().collect();
        let asked = self.object(object, &fields, &mut reading);
        let body = within(deadline, "an object within the deadline", asked).await?;
        let id = id(object.id())?;
        snapshot::read(level, reading.amounts(), &id, None, &body).map_err(malformed)
    }

    fn reading<'r>(
        &'r self,
        object: &'r OwnedObject,
        urgency: Urgency,
        deadline: Instant,
    ) -> Result<Reading<'r>, CallError> {
        self.reading_in(object.account(), urgency, deadline)
    }

    fn reading_in<'r>(
        &'r self,
        account: &'r OwnedAccount,
        urgency: Urgency,
        deadline: Instant,
    ) -> Result<Reading<'r>, CallError> {
        let api = &self.connector.api;
        let (Some(plan), Some(objects)) = (&api.spend_root, &api.objects) else {
            return Err(malformed("this connector has no spend roots"));
        };
        if !self.is_ours(account) {
            return Err(CallError::AccountNotOwned);
        }
        Ok(Reading {
            plan,
            objects,
            account,
            deadline,
            tally: Tally {
                account: Some(account.id().clone()),
                urgency,
                ..Tally::default()
            },
        })
    }

    async fn read_root(
        &self,
        object: &OwnedObject,
        reading: &mut Reading<'_>,
    ) -> Result<Snapshot, CallError> {
        let Reading { account, .. } = *reading;
        self.ask_currency(account, reading.deadline, &mut reading.tally)
            .await?;
        let plan = reading.plan;
        let root = self.root_of(object, reading).await?;
        let fields: Vec<&str> = plan.top.fields().collect();
        let body = self.object(&root, &fields, reading).await?;
        let amounts = reading.amounts();
        let id = id(root.id())?;
        let top = snapshot::read(&plan.top, amounts, &id, None, &body);
        let top = top.map_err(malformed)?;
        let root = Owned::Object(root);
        let mut below = Vec::new();
        for level in &plan.below {
            below.push(self.level(level, &root, &id, amounts, reading).await?);
        }
        snapshot::assemble(account.currency().clone(), top, below).map_err(malformed)
    }

    /// The root that an object stands below, by the vendor's own word.
    async fn root_of(
        &self,
        object: &OwnedObject,
        reading: &mut Reading<'_>,
    ) -> Result<OwnedObject, CallError> {
        let (plan, objects) = (reading.plan, reading.objects);
        if object.kind() == plan.top.kind {
            return Ok(object.clone());
        }
        let Some(below) = plan.below(object.kind()) else {
            return Err(malformed("the object holds and switches no budget"));
        };
        let body = self.object(object, &[&below.root_field], reading).await?;
        let root = body.get(&below.root_field).and_then(Value::as_str);
        let root = root.filter(|id| objects.pattern.admits(id));
        let root = root.ok_or_else(|| malformed("an object without what it stands below"))?;
        let account = object.account().clone();
        Ok(OwnedObject::told(account, &plan.top.kind, root))
    }

    /// These fields of one object, if it is that one and the account's.
    async fn object(
        &self,
        object: &OwnedObject,
        fields: &[&str],
        reading: &mut Reading<'_>,
    ) -> Result<Value, CallError> {
        let objects = reading.objects;
        let owned = Owned::Object(object.clone());
        let version = &self.connector.api.version;
        let path = path::fill(&objects.path, version, Slot::Owned(&owned));
        let url = self.asking(path, &reading.fields(fields));
        let body = self.ask_once_more(&url, reading).await?;
        if body.get(&objects.id_field).and_then(Value::as_str) != Some(object.id()) {
            return Err(malformed("the vendor answered with another object"));
        }
        reading.check_account(&body)?;
        Ok(body)
    }

    /// Every object of a level below the root.
    async fn level(
        &self,
        below: &BelowPlan,
        root: &Owned,
        root_id: &ObjectId,
        amounts: Amounts<'_>,
        reading: &mut Reading<'_>,
    ) -> Result<Vec<Row>, CallError> {
        let mut fields: Vec<&str> = below.level.fields().collect();
        fields.extend([below.parent_field.as_str(), below.root_field.as_str()]);
        fields.dedup();
        let version = &self.connector.api.version;
        let path = path::fill(&below.list, version, Slot::Owned(root));
        let first = self.asking(path, &reading.fields(&fields));
        let rows = self.whole_list(&below.level.kind, first, reading).await?;
        let rows = rows.iter();
        rows.map(|row| reading.row(below, root_id, amounts, row))
            .collect()
    }

    /// Every object of a level in an account that a list has, below that object
    /// if there is one.
    pub(super) async fn listed(
        &self,
        account: &OwnedAccount,
        level: &LevelPlan,
        above: Option<&ObjectId>,
        list: &Url,
        deadline: Instant,
    ) -> Result<Vec<Row>, CallError> {
        let mut reading = self.reading_in(account, Urgency::Usual, deadline)?;
        let below = reading.plan.below(&level.kind);
        let parent = below.map(|below| below.parent_field.as_str());
        let fields: Vec<&str> = level.fields().chain(parent).collect();
        let first = with(list, "fields", &reading.fields(&fields));
        let rows = self.whole_list(&level.kind, first, &mut reading).await?;
        let mut found = Vec::new();
        for row in &rows {
            let parent = parent.map(|field| reading.named(field, row)).transpose()?;
            if above.is_some() && parent.as_ref() != above {
                continue;
            }
            reading.check_account(row)?;
            let id = reading.named(&reading.objects.id_field, row)?;
            let row = snapshot::read(level, reading.amounts(), &id, parent, row);
            found.push(row.map_err(malformed)?);
        }
        Ok(found)
    }

    /// The rows of all pages of a list.
    async fn whole_list(
        &self,
        kind: &str,
        first: Url,
        reading: &mut Reading<'_>,
    ) -> Result<Vec<Value>, CallError> {
        let plan = reading.plan;
        let pages = &plan.pages;
        let first = with(&first, &pages.limit_parameter, &pages.most_rows.to_string());
        let mut rows = Vec::new();
        let mut url = first.clone();
        for _ in 0..pages.most_pages {
            let mut body = self.ask_once_more(&url, reading).await?;
            let found = pages.rows.find_mut(&mut body).and_then(Value::as_array_mut);
            rows.append(found.ok_or_else(|| malformed("a page without rows"))?);
            if pages.next.find(&body).is_none_or(Value::is_null) {
                return Ok(rows);
            }
            let cursor = pages.cursor.find(&body).and_then(Value::as_str);
            let cursor = cursor.filter(|cursor| cursor.len() <= LONGEST_CURSOR);
            let cursor = cursor.ok_or_else(|| malformed("a next page without a cursor"))?;
            let next = with(&first, &pages.after_parameter, cursor);
            if next == url {
                return Err(malformed("a next page that is the same page"));
            }
            url = next;
        }
        Err(CallError::RootTooLarge {
            kind: kind.to_owned(),
            most: u64::from(pages.most_pages) * u64::from(pages.most_rows),
        })
    }

    fn asking<'s>(&self, path: impl Iterator<Item = &'s str>, fields: &str) -> Url {
        with(&self.exchange.url(path), "fields", fields)
    }

    async fn ask_once_more(
        &self,
        url: &Url,
        reading: &mut Reading<'_>,
    ) -> Result<Value, CallError> {
        let api = &self.connector.api;
        self.exchange
            .ask(api, url, reading.deadline, &mut reading.tally)
            .await
    }
}

impl<'r> Reading<'r> {
    fn amounts(&self) -> Amounts<'r> {
        Amounts {
            unit: self.plan.unit,
            currency: self.account.currency(),
        }
    }

    /// What is asked of every object, and these.
    fn fields(&self, fields: &[&str]) -> String {
        let own = [self.objects.id_field.as_str(), &self.objects.account.field];
        [&own, fields].concat().join(",")
    }

    fn check_account(&self, row: &Value) -> Result<(), CallError> {
        let account = answer::row_account(&self.objects.account, row);
        if account.as_deref() == Some(self.account.id().as_str()) {
            return Ok(());
        }
        Err(CallError::ForeignRow {
            asked: self.account.id().to_string(),
        })
    }

    fn row(
        &self,
        below: &BelowPlan,
        root: &ObjectId,
        amounts: Amounts<'_>,
        row: &Value,
    ) -> Result<Row, CallError> {
        self.check_account(row)?;
        if self.named(&below.root_field, row)? != *root {
            return Err(malformed("a row that stands below another root"));
        }
        let parent = Some(self.named(&below.parent_field, row)?);
        let id = self.named(&self.objects.id_field, row)?;
        snapshot::read(&below.level, amounts, &id, parent, row).map_err(malformed)
    }
}

impl Reading<'_> {
    /// The id in a field of a row.
    fn named(&self, field: &str, row: &Value) -> Result<ObjectId, CallError> {
        let text = row.get(field).and_then(Value::as_str);
        let text = text.filter(|id| self.objects.pattern.admits(id));
        id(text.ok_or_else(|| malformed(format!("field `{field}` is no id")))?)
    }
}

fn with(url: &Url, parameter: &str, value: &str) -> Url {
    let mut url = url.clone();
    url.query_pairs_mut().append_pair(parameter, value);
    url
}

pub(super) fn id(text: &str) -> Result<ObjectId, CallError> {
    ObjectId::parse(text).map_err(|_| malformed("an id that is none"))
}

pub(super) fn malformed(problem: impl Into<String>) -> CallError {
    CallError::Malformed {
        problem: problem.into(),
    }
}
