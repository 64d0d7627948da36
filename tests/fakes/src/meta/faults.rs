//! The switches: what the fake does wrong on request.

use serde::{Deserialize, Serialize};

use super::asked::Asked;
use super::wire::{GraphError, Told};

/// Everything that can be switched; the default is a vendor in good health.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Faults {
    /// Answer with this instead of the truth.
    pub fail: Option<Fault>,
    /// Only so many times; without it, until switched off.
    pub fail_times: Option<u32>,
    /// Only requests whose path contains this.
    pub fail_path: Option<String>,
    /// Only requests of this method.
    pub fail_method: Option<String>,
    /// Send errors with status 200, as Meta sometimes does.
    pub errors_as_success: bool,
    /// Wait before each answer.
    pub latency_ms: u64,
    /// Keep requests waiting until this is switched off.
    pub hold: bool,
    /// Demand that calls prove this secret of the app.
    pub app_secret: Option<String>,
    /// When tokens end, in seconds since 1970; 0 is never.
    pub token_expires_at: i64,
    /// Warn that the version will end.
    pub version_warning: Option<String>,
    /// Throttle the app's calls to this many; 10,000 without it.
    pub most_app_calls: Option<u32>,
    /// Fail with this code and subcode when `fail` is `code`.
    pub code: (i64, Option<i64>),
    /// Claim to have served this version.
    pub served_version: Option<String>,
    /// Put an empty page between the first and the second of a list.
    pub empty_page: bool,
    /// Give every page a next one that is itself.
    pub endless_pages: bool,
    /// Put a row of another account into lists of one account.
    pub foreign_row: bool,
    /// Say this in errors.
    pub message: Option<String>,
    /// Put these texts where people's words stand, one row for each.
    pub texts: Vec<String>,
    /// Answer with more rows than were asked for.
    pub too_many_rows: bool,
    /// Refuse insights that are asked for at once: they are to be a report.
    pub insights_too_large: bool,
    /// Questions after a report that are answered with "running".
    pub report_polls: u32,
    /// Reports end as failed.
    pub report_fails: bool,
    /// Throttle an account when its score reaches this.
    pub most_score: Option<u32>,
    /// Enforce the limits of this access tier.
    pub tier: Option<Tier>,
    /// So many reads show what was before the last write.
    pub stale_reads: u32,
}

/// The access that Meta has given an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// A score of 60 and blocks of 300 s.
    Development,
    /// A score of 9,000 and blocks of 60 s.
    Standard,
}

/// One way to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// 190/463: the session has expired.
    TokenExpired,
    /// 190: the token is not one.
    TokenInvalid,
    /// 102: the session is not valid.
    SessionInvalid,
    /// 200: the permission is missing.
    PermissionMissing,
    /// 100: a parameter is wrong.
    BadParameter,
    /// 100, with the token in the message.
    TokenInMessage,
    /// 100/33: no such object.
    NoSuchObject,
    /// 803: no such alias.
    NoSuchAlias,
    /// 17/2446079: the account's score is used up; wait in seconds.
    Throttled,
    /// 80004: the business use case is used up; wait in minutes.
    UseCaseThrottled,
    /// 4: the app is used up; nothing says how long.
    AppThrottled,
    /// 368: blocked by policy.
    PolicyBlock,
    /// 2, transient.
    Transient,
    /// 500 with Meta's code 1.
    InternalError,
    /// 503 with a page for people.
    Unavailable,
    /// 404 without a body.
    NotFound,
    /// 302 to another host.
    Redirect,
    /// 200 with a page for people.
    NotJson,
    /// 200 with a list where an object belongs.
    NoData,
    /// 200 with more than anyone should read.
    Huge,
    /// 200 with lists in lists in lists.
    Deep,
    /// 200 with a next page whose cursor is no cursor.
    OddCursor,
    /// The code of the switch.
    Code,
    /// The connection breaks instead of an answer.
    Reset,
}

impl Faults {
    /// The fault for this request, if one is due; it counts as used.
    pub(super) fn strike(&mut self, asked: &Asked) -> Option<Fault> {
        let fault = self.fail?;
        let path = self.fail_path.as_ref();
        if path.is_some_and(|part| !asked.path().contains(part.as_str())) {
            return None;
        }
        if self
            .fail_method
            .as_ref()
            .is_some_and(|method| *method != asked.method)
        {
            return None;
        }
        match &mut self.fail_times {
            Some(0) => return None,
            Some(left) => *left -= 1,
            None => {}
        }
        Some(fault)
    }
}

impl Fault {
    /// What is answered under this fault.
    pub(super) fn tell(self, (code, subcode): (i64, Option<i64>)) -> Told {
        let error = |code, subcode, message| Told::Error(GraphError::new(code, subcode, message));
        match self {
            Self::TokenExpired => Told::Error(GraphError::expired()),
            Self::TokenInvalid => Told::Error(GraphError::invalid_token()),
            Self::SessionInvalid => error(102, None, "Session key invalid or no longer valid"),
            Self::PermissionMissing => Told::Error(GraphError::no_permission()),
            Self::BadParameter => error(100, None, "(#100) Invalid parameter"),
            Self::TokenInMessage => {
                let message = format!(
                    "(#100) token {token} in https://graph.facebook.com/me?access_token={token}",
                    token = super::SANDBOX_TOKEN
                );
                Told::Error(GraphError::new(100, None, &message))
            }
            Self::NoSuchObject => Told::Error(GraphError::no_such_object("120999")),
            Self::NoSuchAlias => error(
                803,
                None,
                "(#803) Some of the aliases you requested do not exist: nobody",
            ),
            Self::Throttled => Told::throttled(),
            Self::UseCaseThrottled => error(
                80004,
                Some(2_446_079),
                "(#80004) There have been too many calls to this ad-account.",
            ),
            Self::AppThrottled => error(4, None, "(#4) Application request limit reached"),
            Self::PolicyBlock => error(
                368,
                None,
                "The action attempted has been deemed abusive or is otherwise disallowed",
            ),
            Self::Transient => Told::Error(GraphError::transient(2)),
            Self::InternalError => Told::Error(GraphError::transient(1).with_status(500)),
            Self::Unavailable => Told::Page(503),
            Self::NotFound => Told::Nothing(404),
            Self::Redirect => Told::Redirect,
            Self::NotJson => Told::Page(200),
            Self::NoData => Told::Json(serde_json::json!([])),
            Self::Huge => Told::Huge,
            Self::Deep => Told::Deep,
            Self::OddCursor => Told::Json(serde_json::json!({
                "data": [],
                "paging": {"cursors": {"after": "x&method=post\u{202e}"}, "next": "https://graph.facebook.com/"},
            })),
            Self::Code => error(code, subcode, "(#code) Something is the matter"),
            Self::Reset => Told::Reset,
        }
    }
}
