//! Deciding and reserving, in one transaction: what was read is still so when
//! the money is set aside, on every replica.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use tenantry_core::digest::Digest;
use tenantry_core::name::ObjectId;
use tenantry_core::policy::decide::{Decision, Permitted, Ruling, Terms};
use tenantry_core::policy::facts::{ExposureTerms, Facts, Proposal};

use crate::change::{ChangeId, Intent, Lease, Progress, Recorded, json, select_changes};
use crate::error::LedgerError;
use crate::facts::{Charged, DAY};
use crate::ledger::Ledger;
use crate::line::Event;
use crate::page::Page;
use crate::sql::args;

/// Bytes of an intent: the snapshot of a spend root with thousands of objects.
pub const LARGEST_INTENT: usize = 1024 * 1024;

/// What is to be decided, and what is written down if it may be.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The change.
    pub proposal: &'a Proposal,
    /// The spend roots that it changes, of the proposal's account.
    pub roots: &'a BTreeSet<ObjectId>,
    /// What it is meant to do, and what was there before.
    pub intent: &'a Intent,
    /// By what another one is known to be the same.
    pub likeness: Option<Likeness>,
    /// The longest window that a policy has.
    pub lookback: SignedDuration,
    /// What an exposure is made of, beside what was read; nothing, if no policy
    /// asks for it.
    pub exposure_terms: Option<&'a ExposureTerms>,
    /// Actor and redacted arguments, for every audit line of the change.
    pub record: &'a Map<String, Value>,
    /// What is carried out later, if people must agree first.
    pub deferred: Deferred<'a>,
}

/// What a change is made of once people have agreed.
#[derive(Debug, Clone, Copy)]
pub struct Deferred<'a> {
    /// The arguments of its tool, all of them.
    pub arguments: &'a Map<String, Value>,
    /// What stands for all that it was decided on.
    pub pinned: Digest,
    /// What identifies the policies that it was decided under.
    pub policy_digest: Digest,
}

/// By what a change is known to be the same as another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Likeness {
    /// Its object and the absolute target.
    Target(Digest),
    /// The identifying fields of what it makes.
    Made(Digest),
}

/// The moment at which a decision is made.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'m> {
    /// What the book says.
    pub facts: &'m Facts,
    /// The book's clock.
    pub now: Timestamp,
}

/// What became of the question.
#[derive(Debug, Clone, PartialEq)]
pub enum Reservation {
    /// The change may be made; its money and its roots are its own.
    Reserved {
        /// Every reason that spoke.
        ruling: Ruling,
        /// For how long.
        permitted: Permitted,
    },
    /// People must agree; its money is set aside, its roots are free.
    Pending {
        /// Every reason that spoke.
        ruling: Ruling,
        /// Who must agree.
        terms: Terms,
        /// Until when they may.
        expires_at: Timestamp,
        /// Older questions about the same object, which have ended with this.
        superseded: Vec<ChangeId>,
    },
    /// It may not be made. Its key is free, unless people were asked before.
    Denied {
        /// Every reason that spoke.
        ruling: Ruling,
    },
    /// Another change has one of its roots. Its key is free, unless people were
    /// asked before.
    RootBusy {
        /// Which.
        change: ChangeId,
    },
    /// The same is under way with another key. Its own key is free.
    Duplicate {
        /// Which.
        change: ChangeId,
    },
    /// This change was decided before.
    AlreadyThere {
        /// How far it has come.
        progress: Progress,
    },
}

/// What would become of a change that was only asked about.
#[derive(Debug, Clone, PartialEq)]
pub enum Foreseen {
    /// It would be decided so.
    Ruled(Ruling),
    /// Another change would be in its way.
    InTheWay {
        /// Which.
        change: ChangeId,
    },
}

impl Ledger {
    /// What a decision over `proposal` would be made on now. Nothing is written
    /// down.
    pub async fn facts(
        &self,
        proposal: &Proposal,
        lookback: SignedDuration,
        exposure_terms: Option<&ExposureTerms>,
        now: Timestamp,
    ) -> Result<(Facts, Timestamp), LedgerError> {
        let mut page = self.turn(now).await?;
        // No change has this name, so none is left out.
        let nobody = ChangeId::of_random([0; 16]);
        let reading = page
            .read_facts(&nobody, proposal, lookback, exposure_terms)
            .await?;
        let facts = reading.facts(proposal, &BTreeSet::new());
        Ok((facts, page.now))
    }

    /// What [`Self::decide_and_reserve`] would answer now. Nothing is claimed,
    /// reserved or written down.
    pub async fn foresee(
        &self,
        change: &ChangeId,
        asked: &Asked<'_>,
        now: Timestamp,
        decide: impl Fn(&Moment<'_>) -> Ruling,
    ) -> Result<Foreseen, LedgerError> {
        let mut page = self.turn(now).await?;
        if !asked.is_stop() {
            self.admit()?;
            page.check_backlog()?;
        }
        Ok(match page.obstacle(change, asked).await? {
            Some(Reservation::RootBusy { change } | Reservation::Duplicate { change }) => {
                Foreseen::InTheWay { change }
            }
            _ => Foreseen::Ruled(page.rule(change, asked, decide).await?.0),
        })
    }

    /// Decides over the change of `lease` and reserves what it needs, at one
    /// moment of the book.
    ///
    /// `decide` is asked once or twice, on different facts, and only its answer
    /// may depend on them: it must be pure. What stops money is neither held up
    /// by another change of its root, nor by a full disk or a stream that
    /// stands still.
    pub async fn decide_and_reserve(
        &self,
        lease: &Lease,
        asked: &Asked<'_>,
        now: Timestamp,
        decide: impl Fn(&Moment<'_>) -> Ruling,
    ) -> Result<Reservation, LedgerError> {
        let intent = asked.intent_text()?;
        let mut page = self.turn(now).await?;
        if !asked.is_stop() {
            self.admit()?;
            page.check_backlog()?;
        }
        let change = Recorded::held(&mut page.tx, lease).await?;
        if !matches!(change.progress, Progress::Claimed | Progress::Executing) {
            return Ok(Reservation::AlreadyThere {
                progress: change.progress,
            });
        }
        let reservation = match page.obstacle(&lease.change, asked).await? {
            Some(obstacle) => {
                page.refuse(&change, asked, obstacle.told()).await?;
                obstacle
            }
            None => page.decide(&change, asked, &intent, decide).await?,
        };
        page.close().await?;
        Ok(reservation)
    }
}

impl Asked<'_> {
    pub(crate) fn is_stop(&self) -> bool {
        self.proposal.effect.only_stops()
    }

    pub(crate) fn intent_text(&self) -> Result<String, LedgerError> {
        let text = json(self.intent);
        if text.len() > LARGEST_INTENT {
            return Err(LedgerError::TooLarge {
                what: "an intent",
                bytes: text.len(),
                most: LARGEST_INTENT,
            });
        }
        Ok(text)
    }

    /// The object that changes: what is made has no name yet, and does not
    /// change what it stands below.
    fn object(&self) -> Option<&str> {
        let path = &self.proposal.subject.path;
        let object = path
            .last()
            .filter(|_| !self.proposal.effect.primitive.creates());
        object.map(ObjectId::as_str)
    }
}

impl Likeness {
    fn text(self) -> String {
        match self {
            Self::Target(digest) => format!("target {digest}"),
            Self::Made(digest) => format!("made {digest}"),
        }
    }
}

impl Reservation {
    /// What the audit says of it.
    pub(crate) fn told(&self) -> Value {
        match self {
            Self::RootBusy { change } => json!({"decision": "root_busy", "other": change}),
            Self::Duplicate { change } => json!({"decision": "duplicate", "other": change}),
            Self::Reserved { ruling, .. } => told("permitted", ruling),
            Self::Pending { ruling, .. } => told("needs_approval", ruling),
            Self::Denied { ruling } => told("denied", ruling),
            Self::AlreadyThere { progress } => json!({"decision": progress.as_str()}),
        }
    }
}

/// What the audit says of a decision.
pub(crate) fn told(decision: &str, ruling: &Ruling) -> Value {
    json!({"decision": decision, "rules": ruling.fired, "shadow": ruling.shadow})
}

impl Page<'_> {
    /// What stands in the way before anything is decided.
    pub(crate) async fn obstacle(
        &mut self,
        own: &ChangeId,
        asked: &Asked<'_>,
    ) -> Result<Option<Reservation>, LedgerError> {
        // The same change under way, and who has the root, each with its index.
        const IN_THE_WAY: &str = "SELECT * FROM (SELECT 'same' AS what, id FROM changes \
             WHERE likeness = $1 AND id <> $3 AND progress NOT IN ('applied', 'not_applied') \
             ORDER BY since, id LIMIT 1) AS same UNION ALL \
             SELECT * FROM (SELECT 'root' AS what, change_id AS id FROM roots \
             WHERE root = $2 AND change_id <> $3 ORDER BY is_stop, change_id LIMIT 1) AS root";
        if asked.is_stop() {
            return Ok(None);
        }
        let target = asked.likeness;
        let target = target.filter(|likeness| matches!(likeness, Likeness::Target(_)));
        let target = target.map(Likeness::text);
        let roots = asked.roots.iter();
        let mut roots: Vec<_> = roots
            .map(|root| Some(root_name(asked.proposal, root)))
            .collect();
        if roots.is_empty() {
            roots.push(None);
        }
        for root in roots {
            let args = args![target.as_deref(), root.as_deref(), own.as_str()];
            let mut busy = None;
            for row in self.tx.rows(IN_THE_WAY, args).await? {
                let change = row.read("id", |text| ChangeId::parse(text).ok())?;
                if row.text("what")? == "same" {
                    return Ok(Some(Reservation::Duplicate { change }));
                }
                busy = Some(Reservation::RootBusy { change });
            }
            if busy.is_some() {
                return Ok(busy);
            }
        }
        Ok(None)
    }

    /// What is decided at this moment, and which older questions a new one would
    /// take the place of.
    async fn rule(
        &mut self,
        own: &ChangeId,
        asked: &Asked<'_>,
        decide: impl Fn(&Moment<'_>) -> Ruling,
    ) -> Result<(Ruling, Vec<Recorded>), LedgerError> {
        let reading = self
            .read_facts(own, asked.proposal, asked.lookback, asked.exposure_terms)
            .await?;
        let twin = self.twin(own, asked).await?;
        let now = self.now;
        let rule = |left_out: &BTreeSet<ChangeId>| {
            let facts = Facts {
                twin: twin.as_ref().map(ToString::to_string),
                ..reading.facts(asked.proposal, left_out)
            };
            decide(&Moment { facts: &facts, now })
        };
        // A newer question takes the place of an older one about the same
        // object, and its money. Only a question does: a change that may be
        // made stands beside what waits, and is counted with it.
        let older = if reading.waits_about(&asked.proposal.subject) {
            self.older_questions(own, asked).await?
        } else {
            Vec::new()
        };
        let ruling = rule(&self.charged_of(&older).await?);
        let asks = matches!(ruling.decision, Decision::NeedsApproval(_));
        let ruling = if asks || older.is_empty() {
            ruling
        } else {
            rule(&BTreeSet::new())
        };
        Ok((ruling, older))
    }

    async fn decide(
        &mut self,
        change: &Recorded,
        asked: &Asked<'_>,
        intent: &str,
        decide: impl Fn(&Moment<'_>) -> Ruling,
    ) -> Result<Reservation, LedgerError> {
        let own = &change.lease.change;
        let (ruling, older) = self.rule(own, asked, decide).await?;
        match ruling.decision.clone() {
            Decision::Permitted(permitted) => {
                self.reserve(own, asked, intent, Progress::Reserved).await?;
                self.take_roots(own, asked.proposal, asked.roots).await?;
                let reserved = Reservation::Reserved { ruling, permitted };
                let own = Some(own);
                self.append(Event::Intent, own, reserved.told(), asked.record)
                    .await?;
                Ok(reserved)
            }
            Decision::NeedsApproval(terms) => {
                self.reserve(own, asked, intent, Progress::Pending).await?;
                let superseded = self.supersede(&older, own).await?;
                let expires_at = self.ask(own, &terms, &ruling.fired, asked.deferred).await?;
                let pending = Reservation::Pending {
                    ruling,
                    terms,
                    expires_at,
                    superseded,
                };
                self.append(Event::Asked, Some(own), pending.told(), asked.record)
                    .await?;
                Ok(pending)
            }
            Decision::Denied => {
                let denied = Reservation::Denied { ruling };
                self.refuse(change, asked, denied.told()).await?;
                Ok(denied)
            }
        }
    }

    /// A change that is not made leaves a line, and its key is free. What people
    /// were asked about stays, for its caller to end.
    async fn refuse(
        &mut self,
        change: &Recorded,
        asked: &Asked<'_>,
        told: Value,
    ) -> Result<(), LedgerError> {
        let own = Some(&change.lease.change);
        self.append(Event::Refused, own, told, asked.record).await?;
        if change.progress == Progress::Claimed {
            self.forget(change).await?;
        }
        Ok(())
    }

    /// Sets the money of a change aside, and writes down what it is.
    pub(crate) async fn reserve(
        &mut self,
        change: &ChangeId,
        asked: &Asked<'_>,
        intent: &str,
        progress: Progress,
    ) -> Result<(), LedgerError> {
        const RESERVE: &str = "UPDATE changes SET progress = $1, since = $2, reserved_at = $2, \
             record = $3, proposal = $4, intent = $5, likeness = $6, connector = $7, account = $8, \
             object = $9, charge = $10, touched = $11 WHERE id = $12";
        let subject = &asked.proposal.subject;
        let likeness = asked.likeness.map(Likeness::text);
        let args = args![
            progress.as_str(),
            self.now,
            json(asked.record),
            json(asked.proposal),
            intent,
            likeness.as_deref(),
            subject.connector.as_str(),
            subject.account.as_str(),
            asked.object(),
            json(&Charged::of(asked.proposal)),
            self.touch(),
            change.as_str(),
        ];
        self.tx.run_later(RESERVE, args).await
    }

    pub(crate) async fn take_roots(
        &mut self,
        own: &ChangeId,
        proposal: &Proposal,
        roots: &BTreeSet<ObjectId>,
    ) -> Result<(), LedgerError> {
        const TAKE: &str = "INSERT INTO roots (root, change_id, is_stop) VALUES ($1, $2, $3)";
        let is_stop = proposal.effect.only_stops();
        for root in roots {
            let root = root_name(proposal, root);
            self.tx
                .run_later(TAKE, args![root, own.as_str(), is_stop])
                .await?;
        }
        Ok(())
    }

    async fn twin(
        &mut self,
        own: &ChangeId,
        asked: &Asked<'_>,
    ) -> Result<Option<ChangeId>, LedgerError> {
        const TWIN: &str = "SELECT id FROM changes WHERE likeness = $1 AND id <> $2 \
             AND progress <> 'not_applied' AND (applied_at IS NULL OR applied_at > $3) \
             ORDER BY since, id LIMIT 1";
        let Some(likeness @ Likeness::Made(_)) = asked.likeness else {
            return Ok(None);
        };
        let after = self.now - DAY;
        self.first(TWIN, args![likeness.text(), own.as_str(), after])
            .await
    }

    /// The questions that wait about the same object, each as a whole.
    pub(crate) async fn older_questions(
        &mut self,
        own: &ChangeId,
        asked: &Asked<'_>,
    ) -> Result<Vec<Recorded>, LedgerError> {
        const OLDER: &str = select_changes!(
            "WHERE object = $1 AND account = $2 AND connector = $3 AND progress = 'pending' AND id <> $4"
        );
        let Some(object) = asked.object() else {
            return Ok(Vec::new());
        };
        let subject = &asked.proposal.subject;
        let args = args![
            object,
            subject.account.as_str(),
            subject.connector.as_str(),
            own.as_str(),
        ];
        let rows = self.tx.rows(OLDER, args).await?;
        let found = rows.iter().map(Recorded::of).collect::<Result<_, _>>()?;
        self.wholes(found).await
    }

    async fn first(
        &mut self,
        sql: &'static str,
        args: &[crate::sql::Arg],
    ) -> Result<Option<ChangeId>, LedgerError> {
        let row = self.tx.row(sql, args).await?;
        row.map(|row| row.read("id", |text| ChangeId::parse(text).ok()))
            .transpose()
    }
}

/// A root's name in the book. Ids are unique within an account.
fn root_name(proposal: &Proposal, root: &ObjectId) -> String {
    let subject = &proposal.subject;
    json(&(&subject.connector, &subject.account, root))
}
