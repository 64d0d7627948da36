//! The way of a change: prepared on what the vendor says now, rehearsed, made
//! once, and looked after. Nothing here is ever sent a second time.

use jiff::Timestamp;
use serde_json::{Map, Value};
use tenantry_core::effect::Impossible;
use tokio::time::Instant;
use url::Url;
use url::form_urlencoded::Serializer;

use super::Corridor;
use super::exchange::{Failure, Tally};
use super::owned::{Owned, OwnedObject};
use super::path::{self, Slot};
use crate::call_error::CallError;
use crate::change::{Made, PrepareError, Prepared, Settling, Standing, Target};
use crate::connector::Tool;
use crate::corridor::foreign;
use crate::plan::change::{ChangePlan, ChangesPlan};
use crate::plan::spend_root::{LevelPlan, SpendRootPlan};
use crate::plan::{Applied, ObjectsPlan, ToolPlan};
use crate::snapshot::Row;

/// What every change needs of its connector file.
#[derive(Clone, Copy)]
struct Plans<'p> {
    root: &'p SpendRootPlan,
    changes: &'p ChangesPlan,
    objects: &'p ObjectsPlan,
}

impl Corridor {
    /// Reads what the change could spend, as it is now, and says what it does.
    /// The arguments match the tool's schema, and `object` is what they name.
    pub async fn prepare(
        &self,
        tool: &Tool,
        args: &Map<String, Value>,
        object: OwnedObject,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Prepared, PrepareError> {
        let owned = Owned::Object(object.clone());
        self.check(tool, args, Some(&owned))?;
        let ToolPlan::Change(plan) = &tool.plan else {
            return Err(foreign(tool).into());
        };
        let currency = object.account().currency();
        let target = Target::of(plan, args, currency)?;
        // What the vendor cannot be told is refused before it is asked.
        self.parameter(&target, &object)?;
        let (_, level) = self.level_of(&object)?;
        let snapshot = match plan {
            ChangePlan::Deactivate => self.before_a_stop(&object, level, deadline).await?,
            _ => self.spend_root(&object, deadline).await?,
        };
        let id = super::spend_root::id(object.id())?;
        // Claimed as something else than it is, an ad set would pass for an ad.
        let node = snapshot.root.node(&id);
        if node.is_none_or(|node| node.kind != object.kind()) {
            return Err(Impossible::Unknown(id).into());
        }
        let effect = target.effect(&id, &snapshot, now)?;
        let above = snapshot.root.path(&id).unwrap_or_default();
        let path = above.iter().map(|node| node.id.clone()).collect();
        let is_reached = snapshot.row(&id).is_some_and(|row| target.is_reached(&row));
        Ok(Prepared {
            object,
            target,
            snapshot,
            path,
            effect,
            is_reached,
        })
    }

    /// Has the vendor check the change and make none.
    pub async fn rehearse(&self, change: &Prepared, deadline: Instant) -> Result<(), CallError> {
        let plans = self.plans()?;
        let form = self.form(change, Some(&plans.changes.rehearse))?;
        let sent = self.send(plans, &change.object, &form, deadline).await;
        sent.map_err(|failure| failure.error)
    }

    /// Makes the change, once, and reads whether it is so: a success that
    /// changes nothing is none.
    pub async fn make(&self, change: &Prepared, deadline: Instant) -> Made {
        let form = match self.form(change, None) {
            Ok(form) => form,
            Err(error) => return Made::NotApplied(error),
        };
        let sent = match self.plans() {
            Ok(plans) => self.send(plans, &change.object, &form, deadline).await,
            Err(error) => return Made::NotApplied(error),
        };
        match sent {
            Ok(()) => {}
            Err(Failure {
                error,
                applied: Applied::No,
            }) => return Made::NotApplied(error),
            Err(Failure { error, .. }) => return Made::Unknown(error),
        }
        match self.look(change, deadline).await {
            Ok(Standing::Reached) => Made::Applied,
            Ok(Standing::AsBefore | Standing::Otherwise) => Made::Unknown(CallError::Malformed {
                problem: "the vendor says that it made the change, and does not show it".into(),
            }),
            Err(error) => Made::Unknown(error),
        }
    }

    /// How the object of a change stands to what it shall be, by the vendor's
    /// word of now.
    pub async fn look(&self, change: &Prepared, deadline: Instant) -> Result<Standing, CallError> {
        let id = super::spend_root::id(change.object.id())?;
        let now = self.row_of(change, deadline).await?;
        let before = change.snapshot.row(&id);
        if change.target.is_reached(&now) {
            return Ok(Standing::Reached);
        }
        let is_same = before.is_some_and(|before| change.target.is_same(&before, &now));
        Ok(if is_same {
            Standing::AsBefore
        } else {
            Standing::Otherwise
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

    fn plans(&self) -> Result<Plans<'_>, CallError> {
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

    fn level_of(&self, object: &OwnedObject) -> Result<(&SpendRootPlan, &LevelPlan), CallError> {
        let plans = self.plans()?;
        let level = plans.root.level(object.kind());
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
        let (plan, level) = self.level_of(object)?;
        let parameter = target.parameter(plan, level, object.account().currency())?;
        Ok(parameter.ok_or_else(|| CallError::Malformed {
            problem: "the object has nothing that this could change".into(),
        })?)
    }

    fn form(
        &self,
        change: &Prepared,
        more: Option<&(String, String)>,
    ) -> Result<String, CallError> {
        let parameter = self.parameter(&change.target, &change.object);
        let parameter = parameter.map_err(|error| match error {
            PrepareError::Call(error) => error,
            // INVARIANT: what was prepared could be said.
            error => CallError::Malformed {
                problem: error.to_string(),
            },
        })?;
        let mut form = Serializer::new(String::new());
        for (name, value) in [&parameter].into_iter().chain(more) {
            form.append_pair(name, value);
        }
        Ok(form.finish())
    }

    async fn send(
        &self,
        plans: Plans<'_>,
        object: &OwnedObject,
        form: &str,
        deadline: Instant,
    ) -> Result<(), Failure> {
        if !self.is_ours(object.account()) {
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
        let owned = Owned::Object(object.clone());
        let url = self.address(plans.objects, &owned);
        let mut tally = Tally {
            account: Some(object.account().id().clone()),
            ..Tally::default()
        };
        let sent = self.exchange.change(api, &url, form, &mut tally);
        let Ok(answer) = tokio::time::timeout_at(deadline, sent).await else {
            return Err(Failure {
                error: late,
                applied: Applied::Unknown,
            });
        };
        let body = answer?;
        self.tell(&self.warnings(&tally));
        match plans.changes.done.find(&body) {
            Some(Value::Bool(true)) => Ok(()),
            _ => Err(Failure {
                error: CallError::Malformed {
                    problem: "the vendor does not say that it made the change".into(),
                },
                applied: Applied::Unknown,
            }),
        }
    }

    fn address(&self, objects: &ObjectsPlan, object: &Owned) -> Url {
        let version = &self.connector.api.version;
        let path = path::fill(&objects.path, version, Slot::Owned(object));
        self.exchange.url(path)
    }

    /// The object of a change as it is now, as far as the change is concerned
    /// with it: an odd amount makes nobody doubt a pause.
    async fn row_of(&self, change: &Prepared, deadline: Instant) -> Result<Row, CallError> {
        let (_, level) = self.level_of(&change.object)?;
        let switch = matches!(change.target, Target::Switch(_)).then(|| level.switch_alone());
        let level = switch.as_ref().unwrap_or(level);
        self.read_alone(&change.object, level, deadline).await
    }
}
