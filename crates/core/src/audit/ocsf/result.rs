//! How an event ended: whether it came about, how bad that is, and what a
//! control made of it.

use serde::{Serialize, Serializer};

use crate::answer::Status;

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Severity {
    /// Nothing to do.
    Informational = 1,
    /// Something was not done; whoever asked has heard why.
    Low = 2,
    /// People should look.
    Medium = 3,
}

/// How an event ended.
#[derive(Serialize)]
pub struct EventResult<'l> {
    /// How bad that is.
    pub severity_id: Severity,
    /// Whether it came about.
    #[serde(flatten)]
    pub status: EventStatus,
    /// Why it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_code: Option<&'l str>,
    /// What the control made of it, where one spoke.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub control: Option<Control>,
}

/// Whether an event came about.
#[derive(Serialize)]
pub struct EventStatus {
    status_id: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
}

/// What a control did.
#[derive(Serialize)]
pub struct Control {
    action_id: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'static str>,
    disposition_id: u8,
}

impl Serialize for Severity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(*self as u8)
    }
}

impl EventStatus {
    /// Nobody knows.
    pub const UNKNOWN: Self = Self::known(0);
    /// It came about.
    pub const SUCCESS: Self = Self::known(1);
    /// It did not.
    pub const FAILURE: Self = Self::known(2);

    /// Neither: it goes on.
    pub fn other(status: &'static str) -> Self {
        Self {
            status_id: 99,
            status: Some(status),
        }
    }

    const fn known(status_id: u8) -> Self {
        Self {
            status_id,
            status: None,
        }
    }
}

impl Control {
    /// It may be.
    pub const ALLOWED: Self = Self::known(1, 1);
    /// It may not be.
    pub const BLOCKED: Self = Self::known(2, 2);
    /// People have agreed.
    pub const APPROVED: Self = Self::known(1, 8);
    /// People have not agreed.
    pub const REJECTED: Self = Self::known(2, 25);
    /// It waits for people.
    pub const DELAYED: Self = Self {
        action_id: 99,
        action: Some("needs_approval"),
        disposition_id: 14,
    };

    const fn known(action_id: u8, disposition_id: u8) -> Self {
        Self {
            action_id,
            action: None,
            disposition_id,
        }
    }
}

impl<'l> EventResult<'l> {
    /// A call ended so.
    pub fn of(outcome: Status, reason: Option<&'l str>) -> Self {
        let (severity_id, status, control) = match outcome {
            Status::Done | Status::Unchanged => {
                (Severity::Informational, EventStatus::SUCCESS, None)
            }
            Status::PendingApproval => (
                Severity::Informational,
                EventStatus::other(outcome.as_str()),
                Some(Control::DELAYED),
            ),
            Status::InProgress | Status::Settling => (
                Severity::Informational,
                EventStatus::other(outcome.as_str()),
                None,
            ),
            Status::NeedsHuman => (Severity::Medium, EventStatus::other(outcome.as_str()), None),
            Status::Refused => (Severity::Low, EventStatus::FAILURE, Some(Control::BLOCKED)),
            Status::Failed => (Severity::Low, EventStatus::FAILURE, None),
        };
        Self {
            severity_id,
            status,
            status_code: reason,
            control,
        }
    }
}
