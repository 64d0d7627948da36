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
use crate::plan::spend_root::{BelowPlan, FIELDS, LevelPlan, PagesPlan, SpendRootPlan};
use crate::snapshot::{self, Amounts, Row, Snapshot};

/// Of a vendor's cursor.
const LONGEST_CURSOR: usize = 2_000;

/// One reading of spend roots.
pub(super) struct Reading<'r> {
    pub plan: &'r SpendRootPlan,
    pub objects: &'r ObjectsPlan,
    pub account: &'r OwnedAccount,
    pub deadline: Instant,
    pub tally: Tally,
}

/// A list that is read to its end.
pub(super) struct List<'l> {
    pub kind: &'l str,
    /// Its first page, without how long one is.
    pub url: Url,
    pub pages: &'l PagesPlan,
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
        let mut reading = self.reading(object.account(), urgency, deadline)?;
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
        let mut reading = self.reading(object.account(), Urgency::Stop, deadline)?;
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
        let mut reading = self.reading(object.account(), urgency, deadline)?;
        let fields: Vec<&str> = level.fields().collect();
        let asked = self.object(object, &fields, &mut reading);
        let body = within(deadline, "an object within the deadline", asked).await?;
        let id = id(object.id())?;
        snapshot::read(level, reading.amounts(), &id, None, &body).map_err(malformed)
    }

    pub(super) fn reading<'r>(
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
        fields.extend(below.above_fields());
        let version = &self.connector.api.version;
        let path = path::fill(&below.list, version, Slot::Owned(root));
        let list = List {
            kind: &below.level.kind,
            url: self.asking(path, &reading.fields(&fields)),
            pages: &reading.plan.pages,
        };
        let mut rows = Vec::new();
        let take = |reading: &Reading<'_>, row: &Value| {
            let (own_root, row) = reading.row(below, amounts, row)?;
            if own_root != *root_id {
                return Err(malformed("a row that stands below another root"));
            }
            rows.push(row);
            Ok(())
        };
        self.read_list(&list, reading, take).await?;
        Ok(rows)
    }

    /// Reads a list to its end, or not at all.
    pub(super) async fn read_list(
        &self,
        list: &List<'_>,
        reading: &mut Reading<'_>,
        mut take: impl FnMut(&Reading<'_>, &Value) -> Result<(), CallError>,
    ) -> Result<(), CallError> {
        let pages = list.pages;
        let first = with(
            &list.url,
            &pages.limit_parameter,
            &pages.most_rows.to_string(),
        );
        let mut url = first.clone();
        for _ in 0..pages.most_pages {
            let body = self.ask_once_more(&url, reading).await?;
            let found = pages.rows.find(&body).and_then(Value::as_array);
            for row in found.ok_or_else(|| malformed("a page without rows"))? {
                take(reading, row)?;
            }
            if pages.next.find(&body).is_none_or(Value::is_null) {
                return Ok(());
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
            kind: list.kind.to_owned(),
            most: pages.most(),
        })
    }

    pub(super) fn asking<'s>(&self, path: impl Iterator<Item = &'s str>, fields: &str) -> Url {
        with(&self.exchange.url(path), FIELDS, fields)
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
    pub fn amounts(&self) -> Amounts<'r> {
        Amounts {
            unit: self.plan.unit,
            currency: self.account.currency(),
        }
    }

    /// What is asked of every object, and these.
    pub fn fields(&self, fields: &[&str]) -> String {
        let own = [self.objects.id_field.as_str(), &self.objects.account.field];
        [&own, fields].concat().join(",")
    }

    pub fn check_account(&self, row: &Value) -> Result<(), CallError> {
        let account = answer::row_account(&self.objects.account, row);
        if account.as_deref() == Some(self.account.id().as_str()) {
            return Ok(());
        }
        Err(CallError::ForeignRow {
            asked: self.account.id().to_string(),
        })
    }

    /// An object below a root, and which root that is.
    pub fn row(
        &self,
        below: &BelowPlan,
        amounts: Amounts<'_>,
        row: &Value,
    ) -> Result<(ObjectId, Row), CallError> {
        self.check_account(row)?;
        let root = self.id_in(&below.root_field, row)?;
        let parent = Some(self.id_in(&below.parent_field, row)?);
        let id = self.id_in(&self.objects.id_field, row)?;
        let read = snapshot::read(&below.level, amounts, &id, parent, row);
        Ok((root, read.map_err(malformed)?))
    }

    /// A root among others of the account.
    pub fn top(&self, amounts: Amounts<'_>, row: &Value) -> Result<Row, CallError> {
        self.check_account(row)?;
        let id = self.id_in(&self.objects.id_field, row)?;
        snapshot::read(&self.plan.top, amounts, &id, None, row).map_err(malformed)
    }

    fn id_in(&self, field: &str, row: &Value) -> Result<ObjectId, CallError> {
        let text = row.get(field).and_then(Value::as_str);
        let text = text.filter(|id| self.objects.pattern.admits(id));
        id(text.ok_or_else(|| malformed(format!("field `{field}` is no id")))?)
    }
}

pub(super) fn with(url: &Url, parameter: &str, value: &str) -> Url {
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
