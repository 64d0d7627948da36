//! The way of a change: prepared on what the vendor says now, rehearsed, made
//! once, and looked after. Nothing here is ever sent a second time.

use jiff::Timestamp;
use serde_json::{Map, Value};
use tenantry_core::effect::Impossible;
use tenantry_core::name::ObjectId;
use tenantry_core::spend_root::Switch;
use tokio::time::Instant;
use url::Url;
use url::form_urlencoded::Serializer;

use super::Corridor;
use super::exchange::{Failure, Tally, Urgency};
use super::owned::{Owned, OwnedAccount, OwnedObject};
use super::path::{self, Slot};
use crate::call_error::CallError;
use crate::change::doubt::{Doubt, Sighting, Standing};
use crate::change::view::Settings;
use crate::change::{Made, PrepareError, Prepared, Sent, Settling, Target};
use crate::connector::Tool;
use crate::corridor::foreign;
use crate::plan::change::{ChangePlan, ChangesPlan};
use crate::plan::spend_root::{LevelPlan, SpendRootPlan};
use crate::plan::{Applied, ObjectsPlan, ToolPlan};

/// What every change needs of its connector file.
#[derive(Clone, Copy)]
pub(super) struct Plans<'p> {
    pub root: &'p SpendRootPlan,
    pub changes: &'p ChangesPlan,
    pub objects: &'p ObjectsPlan,
}

impl Corridor {
    /// Reads what the change could spend, as it is now, and says what it does.
    /// The arguments match the tool's schema, and `place` is what they name.
    pub async fn prepare(
        &self,
        tool: &Tool,
        args: &Map<String, Value>,
        place: Owned,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Prepared, PrepareError> {
        self.check(tool, args, Some(&place))?;
        let (plan, object) = match (&tool.plan, &place) {
            (ToolPlan::Change(ChangePlan::Create(plan)), _) => {
                return self.prepare_new(plan, args, place, now, deadline).await;
            }
            (ToolPlan::Change(plan), Owned::Object(object)) => (plan, object),
            _ => return Err(foreign(tool).into()),
        };
        let target = Target::of(plan, args, object.account().currency())?;
        // What the vendor cannot be told is refused before it is asked.
        let said = self.parameter(&target, object)?;
        let (_, level) = self.level_of(object.kind())?;
        let snapshot = match plan {
            ChangePlan::Deactivate => self.before_a_stop(object, level, deadline).await?,
            _ => self.spend_root(object, deadline).await?,
        };
        let id = super::spend_root::id(object.id())?;
        // Claimed as something else than it is, an ad set would pass for an ad.
        let node = snapshot.root.node(&id);
        if node.is_none_or(|node| node.kind != object.kind()) {
            return Err(Impossible::Unknown(id).into());
        }
        let effect = target.effect(&id, &snapshot, now)?;
        let path = snapshot.path(&id);
        let seen = snapshot.seen(&id);
        let is_reached = seen.is_some_and(|seen| target.is_reached(seen));
        Ok(Prepared {
            connector: self.connector.name.clone(),
            kind: object.kind().to_owned(),
            id: Some(id),
            word: said.1.clone(),
            said: vec![said],
            place,
            target,
            snapshot: Some(snapshot),
            path,
            effect,
            is_reached,
        })
    }

    /// Has the vendor check the change and make none.
    pub async fn rehearse(&self, change: &Prepared, deadline: Instant) -> Result<(), CallError> {
        let plans = self.plans()?;
        let form = form(change.said.iter().chain([&plans.changes.rehearse]));
        let mut tally = tally(change);
        let sent = self.send(plans, change, &form, deadline, &mut tally).await;
        let answer = sent.map_err(|failure| failure.error)?;
        done(plans.changes, &answer)
    }

    /// Makes the change, once, and reads whether it is so: a success that
    /// changes nothing is none.
    pub async fn make(&self, change: &Prepared, deadline: Instant) -> Sent {
        let mut tally = tally(change);
        let mut made_id = None;
        let made = self.made(change, deadline, &mut tally, &mut made_id).await;
        Sent {
            made,
            request_ids: tally.request_ids,
            made_id,
        }
    }

    async fn made(
        &self,
        change: &Prepared,
        deadline: Instant,
        tally: &mut Tally,
        made_id: &mut Option<ObjectId>,
    ) -> Made {
        let form = form(&change.said);
        let plans = match self.plans() {
            Ok(plans) => plans,
            Err(error) => return Made::NotApplied(error),
        };
        let answer = match self.send(plans, change, &form, deadline, tally).await {
            Ok(answer) => answer,
            Err(Failure {
                error,
                applied: Applied::No,
            }) => return Made::NotApplied(error),
            Err(Failure { error, .. }) => return Made::Unknown(error),
        };
        let said = match &change.target {
            Target::New(_) => self.made_id(&answer).map(|made| *made_id = Some(made)),
            _ => done(plans.changes, &answer),
        };
        let doubt = Doubt {
            made: made_id.clone(),
            ..change.doubt()
        };
        let seen = match said {
            Ok(()) => self.look(&doubt, deadline).await,
            Err(error) => Err(error),
        };
        match seen {
            Ok(Sighting {
                standing: Standing::Reached,
                found,
            }) => Made::Applied(found),
            Ok(_) => Made::Unknown(CallError::Malformed {
                problem: "the vendor says that it made the change, and does not show it".into(),
            }),
            Err(error) => Made::Unknown(error),
        }
    }

    /// How the object of a change stands to what it shall be, by the vendor's
    /// word of now. The same request proves that it is still the account's,
    /// which must be one of this corridor's.
    pub async fn look(&self, doubt: &Doubt, deadline: Instant) -> Result<Sighting, CallError> {
        if let Target::New(draft) = &doubt.target {
            return self.look_for_new(doubt, draft, deadline).await;
        }
        let (account, object) = self.object_of(doubt)?;
        let (_, level) = self.level_of(&doubt.kind)?;
        // An odd amount makes nobody doubt a pause.
        let switch = matches!(doubt.target, Target::Switch(_)).then(|| level.switch_alone());
        let level = switch.as_ref().unwrap_or(level);
        let now = self
            .read_alone(&object, level, urgency(&doubt.target), deadline)
            .await?;
        Ok(Sighting {
            standing: doubt.standing(now.seen()),
            found: Settings::found(&doubt.target, now.seen(), account.currency()),
        })
    }

    /// When a change of which nothing is known counts as not made; `None` where
    /// the connector makes no changes.
    pub fn settling(&self) -> Option<Settling> {
        let changes = self.connector.api.changes.as_ref()?;
        Some(Settling {
            quiet_ms: changes.quiet_ms,
            reads: changes.reads,
        })
    }

    pub(super) fn plans(&self) -> Result<Plans<'_>, CallError> {
        let api = &self.connector.api;
        match (&api.spend_root, &api.changes, &api.objects) {
            (Some(root), Some(changes), Some(objects)) => Ok(Plans {
                root,
                changes,
                objects,
            }),
            _ => Err(CallError::Malformed {
                problem: "this connector makes no changes".into(),
            }),
        }
    }

    /// The object of a doubt, to ask the vendor for it: what is read of it is
    /// refused unless the vendor names the account in the same answer.
    fn object_of(&self, doubt: &Doubt) -> Result<(OwnedAccount, OwnedObject), CallError> {
        let plans = self.plans()?;
        let account = self.account_of(doubt)?;
        let id = doubt.id.as_ref().map_or("", ObjectId::as_str);
        if !plans.objects.pattern.admits(id) {
            return Err(CallError::Malformed {
                problem: "a doubt about an id that is none".into(),
            });
        }
        let object = OwnedObject::told(account.clone(), &doubt.kind, id);
        Ok((account, object))
    }

    pub(super) fn account_of(&self, doubt: &Doubt) -> Result<OwnedAccount, CallError> {
        let account = self.own(doubt.account.as_str());
        let account = account.filter(|_| doubt.connector == self.connector.name);
        account.ok_or(CallError::AccountNotOwned)
    }

    pub(super) fn level_of(&self, kind: &str) -> Result<(&SpendRootPlan, &LevelPlan), CallError> {
        let plans = self.plans()?;
        let level = plans.root.level(kind);
        let level = level.ok_or_else(|| CallError::Malformed {
            problem: "the object holds and switches no budget".into(),
        })?;
        Ok((plans.root, level))
    }

    /// What says the change to the vendor.
    fn parameter(
        &self,
        target: &Target,
        object: &OwnedObject,
    ) -> Result<(String, String), PrepareError> {
        let (plan, level) = self.level_of(object.kind())?;
        let parameter = target.parameter(plan, level, object.account().currency())?;
        Ok(parameter.ok_or_else(|| CallError::Malformed {
            problem: "the object has nothing that this could change".into(),
        })?)
    }

    async fn send(
        &self,
        plans: Plans<'_>,
        change: &Prepared,
        form: &str,
        deadline: Instant,
        tally: &mut Tally,
    ) -> Result<Value, Failure> {
        let account = change.place.account();
        if !self.is_ours(account) {
            return Err(Failure::unsent(CallError::AccountNotOwned));
        }
        let late = CallError::TimedOut {
            waited_for: "the vendor's word on a change",
        };
        // Polled once, it could be on its way, and nobody would know.
        if Instant::now() >= deadline {
            return Err(Failure::unsent(late));
        }
        let api = &self.connector.api;
        let url = self.address(plans, change).map_err(Failure::unsent)?;
        let sent = self.exchange.change(api, &url, form, tally);
        let Ok(answer) = tokio::time::timeout_at(deadline, sent).await else {
            return Err(Failure {
                error: late,
                applied: Applied::Unknown,
            });
        };
        let body = answer?;
        self.tell(&self.warnings(tally));
        Ok(body)
    }

    /// Changes are sent to the object itself, new objects are made in an account.
    fn address(&self, plans: Plans<'_>, change: &Prepared) -> Result<Url, CallError> {
        if change.creates() {
            let (_, level) = self.level_of(&change.kind)?;
            return self.edge(level, change.place.account());
        }
        let version = &self.connector.api.version;
        let path = path::fill(&plans.objects.path, version, Slot::Owned(&change.place));
        Ok(self.exchange.url(path))
    }
}

/// Whether the vendor says that it did what it was told.
fn done(changes: &ChangesPlan, answer: &Value) -> Result<(), CallError> {
    match changes.done.find(answer) {
        Some(Value::Bool(true)) => Ok(()),
        _ => Err(CallError::Malformed {
            problem: "the vendor does not say that it made the change".into(),
        }),
    }
}

fn tally(change: &Prepared) -> Tally {
    Tally {
        account: Some(change.place.account().id().clone()),
        urgency: urgency(&change.target),
        ..Tally::default()
    }
}

/// No quota of ours holds up what stops spending, nor the look after it.
fn urgency(target: &Target) -> Urgency {
    match target {
        Target::Switch(Switch::Off) => Urgency::Stop,
        _ => Urgency::Usual,
    }
}

/// Parameters as a form says them.
fn form<'p>(parameters: impl IntoIterator<Item = &'p (String, String)>) -> String {
    let mut form = Serializer::new(String::new());
    for (name, value) in parameters {
        form.append_pair(name, value);
    }
    form.finish()
}
