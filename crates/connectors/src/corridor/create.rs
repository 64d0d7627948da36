//! Making something new: in an account, or below one of its objects. It is made
//! paused, under a name that nothing beside it has, so that it is found again
//! when the answer never comes.

use jiff::Timestamp;
use serde_json::{Map, Value};
use tenantry_core::effect::Impossible;
use tenantry_core::name::ObjectId;
use tenantry_core::spend_root::Switch;
use tokio::time::Instant;
use url::Url;

use super::Corridor;
use super::exchange::{Tally, Urgency};
use super::limits::within;
use super::owned::{NotOwned, Owned, OwnedAccount, OwnedObject};
use super::path::{self, Slot};
use super::progress::query_text;
use super::spend_root::{List, Reading, id, malformed, with};
use crate::call_error::CallError;
use crate::change::doubt::{Doubt, Sighting, Standing};
use crate::change::draft::Draft;
use crate::change::view::Settings;
use crate::change::{PrepareError, Prepared, Target};
use crate::connector::ClaimedObject;
use crate::plan::change::{CreatePlan, CreatesPlan, OwnedPlan};
use crate::plan::spend_root::{BelowPlan, FIELDS, LevelPlan};
use crate::snapshot::Row;

/// An object that was found, and what it is like.
struct Found {
    id: String,
    row: Row,
}

impl Corridor {
    /// Says what a new object would do, and makes sure that it could be told
    /// from all others. Two requests more than reading what it stands below.
    pub(super) async fn prepare_new(
        &self,
        plan: &CreatePlan,
        args: &Map<String, Value>,
        place: Owned,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Prepared, PrepareError> {
        let currency = place.account().currency();
        let draft = Draft::of(plan, args, currency)?;
        if draft.ends_at.is_some_and(|end| end <= now) {
            return Err(Impossible::Meaningless("its end does not lie ahead").into());
        }
        let (root, level) = self.level_of(&plan.makes)?;
        // What the vendor cannot be told is refused before it is asked.
        let mut said = draft.parameters(level, root.unit, currency)?;
        let settings = plan.settings.iter();
        said.extend(settings.filter_map(|(parameter, value)| {
            Some((parameter.clone(), query_text(value, args, None)?))
        }));
        self.own_settings(plan, args, place.account(), deadline)
            .await?;
        let (above, snapshot) = match &place {
            Owned::Account(account) => {
                let mut tally = Tally::default();
                self.ask_currency(account, deadline, &mut tally).await?;
                (None, None)
            }
            Owned::Object(object) => {
                let snapshot = self.spend_root(object, deadline).await?;
                let above = id(object.id())?;
                let node = snapshot.root.node(&above);
                if node.is_none_or(|node| node.kind != object.kind()) {
                    return Err(Impossible::Unknown(above).into());
                }
                let field = root.below(&plan.makes).map(|below| &below.parent_field);
                said.extend(field.map(|field| (field.clone(), object.id().to_owned())));
                (Some(above), Some(snapshot))
            }
        };
        let around = above.as_ref().zip(snapshot.as_ref());
        let effect = draft.effect(&plan.makes, around, currency, now)?;
        let account = place.account();
        let found = self.named(account, level, above.as_ref(), &draft.name, deadline);
        if let Some(twin) = found.await?.first() {
            return Err(PrepareError::NameTaken {
                kind: plan.makes.clone(),
                id: twin.id.clone(),
            });
        }
        let path = around.map(|(id, snapshot)| snapshot.path(id));
        Ok(Prepared {
            connector: self.connector.name.clone(),
            kind: plan.makes.clone(),
            id: above,
            word: level.off_word.clone(),
            said,
            place,
            target: Target::New(draft),
            path: path.unwrap_or_default(),
            snapshot,
            effect,
            is_reached: false,
        })
    }

    /// Whether the objects that it uses are the account's own, by the vendor's
    /// word: one of another account is not there.
    async fn own_settings(
        &self,
        plan: &CreatePlan,
        args: &Map<String, Value>,
        account: &OwnedAccount,
        deadline: Instant,
    ) -> Result<(), PrepareError> {
        for OwnedPlan {
            argument,
            member,
            kind,
        } in &plan.owned
        {
            let Some(holder) = args.get(argument) else {
                continue;
            };
            let pattern = &self.plans()?.objects.pattern;
            let id = holder.get(member).and_then(Value::as_str);
            let id = id.filter(|id| pattern.admits(id)).ok_or_else(|| {
                PrepareError::Arguments(format!("{argument} holds no id of a {kind}"))
            })?;
            let object = ClaimedObject::within(kind, id);
            let owned = self.own_object(&object, deadline).await;
            let owned = owned.map_err(|error| match error {
                NotOwned::Unasked { cause, .. } => PrepareError::Call(cause),
                other => PrepareError::NotOwned(Box::new(other)),
            })?;
            if owned.account() != account {
                let account = owned.account().id().clone();
                let foreign = NotOwned::Foreign { object, account };
                return Err(PrepareError::NotOwned(Box::new(foreign)));
            }
        }
        Ok(())
    }

    /// Where new objects of a level are made, and all of an account are listed.
    pub(super) fn edge(&self, level: &LevelPlan, account: &OwnedAccount) -> Result<Url, CallError> {
        // INVARIANT: the loader admits tools that make something only where both
        // are said.
        let edge = level.create.as_ref();
        let edge = edge.ok_or_else(|| malformed("nothing new of this kind is made"))?;
        let version = &self.connector.api.version;
        let path = path::fill(edge, version, Slot::Account(account));
        Ok(self.exchange.url(path))
    }

    /// What the vendor says that it made.
    pub(super) fn made_id(&self, answer: &Value) -> Result<ObjectId, CallError> {
        let plans = self.plans()?;
        let made = self.creates()?.made.find(answer).and_then(Value::as_str);
        let made = made.filter(|id| plans.objects.pattern.admits(id));
        id(made.ok_or_else(|| malformed("the vendor does not say what it made"))?)
    }

    /// What there is of something that may have been made: by its id, if the
    /// vendor has ever said one, and else by its name.
    pub(super) async fn look_for_new(
        &self,
        doubt: &Doubt,
        draft: &Draft,
        deadline: Instant,
    ) -> Result<Sighting, CallError> {
        let account = self.account_of(doubt)?;
        let (_, level) = self.level_of(&doubt.kind)?;
        if let Some(made) = &doubt.made {
            let object = OwnedObject::told(account.clone(), &doubt.kind, made.as_str());
            let row = self.read_alone(&object, level, Urgency::Usual, deadline);
            let found = Found {
                id: made.to_string(),
                row: row.await?,
            };
            return Ok(sighting(doubt, &[found], &account));
        }
        let found = self
            .named(&account, level, doubt.id.as_ref(), &draft.name, deadline)
            .await?;
        Ok(sighting(doubt, &found, &account))
    }

    fn creates(&self) -> Result<&CreatesPlan, CallError> {
        let creates = self.plans()?.changes.creates.as_ref();
        creates.ok_or_else(|| malformed("this connector makes nothing new"))
    }

    /// Everything of a level by that very name, below that object if there is one.
    async fn named(
        &self,
        account: &OwnedAccount,
        level: &LevelPlan,
        above: Option<&ObjectId>,
        name: &str,
        deadline: Instant,
    ) -> Result<Vec<Found>, CallError> {
        let creates = self.creates()?;
        let mut url = self.edge(level, account)?;
        let (before, after) = &creates.locate_around;
        let value = format!("{before}{}{after}", Value::from(name));
        url.query_pairs_mut()
            .append_pair(&creates.locate_parameter, &value);
        let mut reading = self.reading(account, Urgency::Usual, deadline)?;
        let below = reading.plan.below(&level.kind);
        let above_fields = below.into_iter().flat_map(BelowPlan::above_fields);
        let fields: Vec<&str> = level.fields().chain(above_fields).collect();
        let list = List {
            kind: &level.kind,
            url: with(&url, FIELDS, &reading.fields(&fields)),
            pages: &reading.plan.pages,
        };
        let amounts = reading.amounts();
        let mut found = Vec::new();
        let take = |reading: &Reading<'_>, row: &Value| {
            // Vendors search for a part of a name, in their own idea of letters;
            // what else there is need not read well.
            reading.check_account(row)?;
            if row.get(&level.name_field).and_then(Value::as_str) != Some(name) {
                return Ok(());
            }
            let row = match below {
                Some(below) => reading.row(below, amounts, row)?.1,
                None => reading.top(amounts, row)?,
            };
            if above.is_none() || row.parent.as_ref() == above {
                let id = row.node.id.to_string();
                found.push(Found { id, row });
            }
            Ok(())
        };
        let work = self.read_list(&list, &mut reading, take);
        within(deadline, "what there is by a name", work).await?;
        Ok(found)
    }
}

/// How what was found stands to what was to be made.
fn sighting(doubt: &Doubt, found: &[Found], account: &OwnedAccount) -> Sighting {
    let show = |found: &Found| Settings {
        id: Some(found.id.clone()),
        ..Settings::found(&doubt.target, found.row.seen(), account.currency())
    };
    match found {
        [] => Sighting {
            standing: Standing::AsBefore,
            found: Settings::default(),
        },
        // One that runs is not the one that was to be made.
        [only] if only.row.node.switch == Switch::Off => Sighting {
            standing: doubt.standing(only.row.seen()),
            found: show(only),
        },
        [first, ..] => Sighting {
            standing: Standing::Otherwise,
            found: show(first),
        },
    }
}
