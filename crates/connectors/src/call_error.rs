//! How a call through the corridor can fail: one text for the log, one refusal
//! for the client, and neither holds a token or a URL.

use tenantry_core::reason::{Reason, Refusal};

use crate::token::TokenError;

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// There is no token, or none that can be used.
    #[error("taking the token for the vendor")]
    Token(#[source] TokenError),
    /// The vendor no longer accepts the token.
    #[error("the vendor refused the token: {vendor}")]
    Unauthorized {
        /// What it said.
        vendor: VendorText,
    },
    /// The token is good, but not for this.
    #[error("the vendor says that the token lacks the right: {vendor}")]
    Forbidden {
        /// What it said.
        vendor: VendorText,
    },
    /// The vendor asks for fewer calls.
    #[error("the vendor throttles: {vendor}")]
    Throttled {
        /// What it said.
        vendor: VendorText,
        /// How long to stay away, where it said so.
        retry_after_ms: Option<u64>,
    },
    /// A quota is all but used up, so the vendor was not asked.
    #[error("held back: {used_percent} % of the vendor's quota `{bucket}` are used")]
    HeldBack {
        /// Which quota.
        bucket: String,
        /// How much of it is used.
        used_percent: u32,
        /// When to try again.
        retry_after_ms: u64,
    },
    /// The vendor refused the request.
    #[error("the vendor refused the request: {vendor}")]
    Rejected {
        /// What it said.
        vendor: VendorText,
    },
    /// The vendor knows no such object.
    #[error("the vendor knows no such object: {vendor}")]
    NotFound {
        /// What it said.
        vendor: VendorText,
    },
    /// Too much was asked for at once.
    #[error("the vendor refuses so much at once: {vendor}")]
    TooLarge {
        /// What it said.
        vendor: VendorText,
    },
    /// The vendor still computes the report that was asked for.
    #[error("the vendor is still computing report `{report}`")]
    ReportPending {
        /// Which report it is.
        report: String,
        /// The argument that asks for it.
        argument: String,
        /// When to ask again.
        retry_after_ms: u64,
    },
    /// The vendor gave the report up.
    #[error("the vendor gave the report up: {status}")]
    ReportFailed {
        /// Its word for it.
        status: String,
    },
    /// What would have to be read as a whole is more than can be.
    #[error("more than {most} objects of kind `{kind}` would have to be read")]
    RootTooLarge {
        /// Of which there are too many.
        kind: String,
        /// How many are read.
        most: u64,
    },
    /// There was no connection to the vendor: nothing was sent to it.
    #[error("the vendor could not be reached: {cause}")]
    Unreached {
        /// What went wrong, for the log.
        cause: String,
    },
    /// The vendor failed, or the connection to it did.
    #[error("the vendor is unavailable: {cause}")]
    Unavailable {
        /// What went wrong, for the log.
        cause: String,
    },
    /// There was no answer in time.
    #[error("no answer in time: {waited_for}")]
    TimedOut {
        /// What did not come.
        waited_for: &'static str,
    },
    /// The answer is not what the vendor documents.
    #[error("the vendor's answer is malformed: {problem}")]
    Malformed {
        /// What is wrong with it, without its content.
        problem: String,
    },
    /// A row of the answer belongs to an account that was not asked for.
    #[error("the vendor answered with a row of another account than `{asked}`")]
    ForeignRow {
        /// The account asked for.
        asked: String,
    },
    /// The vendor keeps the account in another currency than the tenant declares.
    #[error(
        "account `{account}` is kept in `{vendor}` at the vendor, but declared as `{declared}`"
    )]
    CurrencyDiffers {
        /// The account.
        account: String,
        /// The currency at the vendor.
        vendor: String,
        /// The currency in the contract.
        declared: String,
    },
    /// Arguments that exclude each other were given together.
    #[error("the arguments {} exclude each other", .arguments.join(" and "))]
    Exclusive {
        /// Their names.
        arguments: Vec<String>,
    },
    /// Of the arguments that say what a call is about, none or several were given.
    #[error("exactly one of the arguments {} says what the call is about", .arguments.join(", "))]
    SubjectUnclear {
        /// Their names.
        arguments: Vec<String>,
    },
    /// What the call is about is not spelt as the vendor spells it.
    #[error("the argument {argument} is not an id as the vendor spells them")]
    SubjectSpelling {
        /// Its name.
        argument: String,
    },
    /// The account is not one of this organisation's, or not the one that the arguments name.
    #[error("the account does not belong to this call")]
    AccountNotOwned,
    /// The tool is not one of this corridor's connector.
    #[error("tool `{tool}` is not one of this connector")]
    ForeignTool {
        /// Its name.
        tool: String,
    },
}

/// A vendor's own words, cut short, without control characters and without the token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VendorText {
    /// The vendor's code, as `100` or `190/463`; empty if there was none.
    pub code: String,
    /// The vendor's message; empty if there was none.
    pub message: String,
}

impl std::fmt::Display for VendorText {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.code.as_str(), self.message.as_str()) {
            ("", "") => out.write_str("no message"),
            ("", message) => out.write_str(message),
            (code, "") => write!(out, "code {code}"),
            (code, message) => write!(out, "code {code}: {message}"),
        }
    }
}

impl CallError {
    /// The word for conditions, metrics, the audit record and the client.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Token(_) => Reason::SecretMissing,
            Self::Unauthorized { .. } => Reason::ReconnectRequired,
            Self::Throttled { .. } | Self::HeldBack { .. } => Reason::VendorThrottled,
            Self::Rejected { .. }
            | Self::Forbidden { .. }
            | Self::TooLarge { .. }
            | Self::ReportFailed { .. } => Reason::VendorRejected,
            Self::ReportPending { .. } => Reason::ReportPending,
            Self::NotFound { .. } => Reason::NotFound,
            Self::RootTooLarge { .. } => Reason::RootTooLarge,
            Self::Unreached { .. } | Self::Unavailable { .. } => Reason::VendorUnavailable,
            Self::TimedOut { .. } => Reason::DeadlineExceeded,
            Self::Malformed { .. } | Self::ForeignRow { .. } => Reason::VendorAnswerInvalid,
            Self::CurrencyDiffers { .. } => Reason::SpecInvalid,
            Self::Exclusive { .. } | Self::SubjectUnclear { .. } | Self::SubjectSpelling { .. } => {
                Reason::ArgumentsInvalid
            }
            Self::AccountNotOwned => Reason::AccountRefused,
            Self::ForeignTool { .. } => Reason::ToolUnknown,
        }
    }

    /// What the client hears. The log takes the `Display` text and the sources.
    pub fn refusal(&self) -> Refusal {
        let refusal = Refusal::new(self.reason(), self.client_message());
        match self {
            Self::Throttled { retry_after_ms: Some(wait), .. } => refusal.with_retry_after_ms(*wait),
            Self::HeldBack { retry_after_ms, .. } => refusal.with_retry_after_ms(*retry_after_ms),
            Self::Forbidden { .. } => refusal.with_remedy(
                "have the connected user or system user granted the right at the vendor, for this account",
            ),
            Self::TooLarge { .. } | Self::ReportFailed { .. } => {
                refusal.with_remedy("ask for less at once: fewer days, a coarser level, no breakdowns")
            }
            Self::ReportPending { report, argument, retry_after_ms } => refusal
                .with_retry_after_ms(*retry_after_ms)
                .with_remedy(format!(
                    "call the tool again in a moment with {argument} \"{report}\" in place of what it was about"
                )),
            Self::CurrencyDiffers { .. } => {
                refusal.with_remedy("have the account's currency corrected in the McpTenant")
            }
            Self::Exclusive { .. } => refusal.with_remedy("give only one of them"),
            _ => refusal,
        }
    }

    fn client_message(&self) -> String {
        match self {
            Self::Token(TokenError::Missing { .. }) => {
                "the vendor's credentials are not there yet".into()
            }
            Self::Token(TokenError::Unreadable { .. }) => {
                "the vendor's credentials are there but cannot be used".into()
            }
            Self::Unauthorized { .. } => {
                "the vendor no longer accepts the organisation's credentials".into()
            }
            Self::Forbidden { vendor } => format!("the vendor denied access: {vendor}"),
            Self::Throttled { .. } => "the vendor asks for fewer calls".into(),
            Self::TooLarge { .. } => "the vendor refuses to answer so much at once".into(),
            Self::ReportPending { .. } => "the vendor is still computing the report".into(),
            Self::ReportFailed { status } => format!("the vendor gave the report up: {status}"),
            Self::Rejected { vendor } => format!("the vendor refused the request: {vendor}"),
            Self::NotFound { .. } => "the vendor knows no such object".into(),
            Self::Unreached { .. } => "the vendor could not be reached".into(),
            Self::Unavailable { .. } => "the vendor could not be reached or failed".into(),
            Self::TimedOut { .. } => "the vendor did not answer in time".into(),
            Self::Malformed { .. } => "the vendor's answer was not in its documented form".into(),
            Self::ForeignRow { .. } => {
                "the vendor's answer held rows of another account and was discarded".into()
            }
            Self::HeldBack { .. }
            | Self::RootTooLarge { .. }
            | Self::CurrencyDiffers { .. }
            | Self::Exclusive { .. }
            | Self::SubjectUnclear { .. }
            | Self::SubjectSpelling { .. } => self.to_string(),
            Self::AccountNotOwned => "the account is not one that may be used here".into(),
            Self::ForeignTool { .. } => "no such tool".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vendor() -> VendorText {
        VendorText {
            code: "100/33".into(),
            message: "Unsupported get request".into(),
        }
    }

    #[test]
    fn a_throttle_tells_the_client_when_to_return() {
        let error = CallError::Throttled {
            vendor: vendor(),
            retry_after_ms: Some(60_000),
        };
        let refusal = error.refusal();
        assert_eq!(refusal.reason, Reason::VendorThrottled);
        assert_eq!(refusal.retry_after_ms, Some(60_000));
    }

    #[test]
    fn the_place_of_a_token_is_for_the_log_alone() {
        let error = CallError::Token(TokenError::Missing {
            place: "/var/run/secrets/meta/token".into(),
        });
        assert!(!error.refusal().message.contains("/var/run"));
        assert_eq!(error.reason(), Reason::SecretMissing);
    }

    #[test]
    fn a_refused_request_repeats_what_the_vendor_said() {
        let refusal = CallError::Rejected { vendor: vendor() }.refusal();
        assert_eq!(
            refusal.message,
            "the vendor refused the request: code 100/33: Unsupported get request"
        );
    }
}
