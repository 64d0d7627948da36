//! One vocabulary of reasons. Conditions, Events, metrics, tool errors and the
//! audit record all take their word from here.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Defines the reasons: word, what it means, and what its reader can do.
macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident => $remedy:literal,)*) => {
        /// Why something is as it is, in one word.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Reason {
            $($(#[$doc])* $name,)*
        }

        impl Reason {
            /// Every reason there is.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The word itself.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// What the reader can do about it, in general terms. The place
            /// that gives the reason may know better and say so.
            pub fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy,)* }
            }
        }
    };
}

reasons! {
    // --- requests that end before a tool is called
    /// No API key came with the request.
    KeyMissing => "send the header `Authorization: Bearer <API key>`",
    /// What came is not an API key.
    KeyMalformed => "check that the whole key was copied, from tnt_ to its last digit",
    /// No key of this organisation has that id and secret.
    KeyUnknown => "use a key of this organisation; whoever issued it can make a new one",
    /// The key was revoked.
    KeyRevoked => "ask whoever issued the key for a new one",
    /// The key's time is over.
    KeyExpired => "ask whoever issued the key for a new one",
    /// The key's time has not begun.
    KeyNotYetValid => "wait until the key's notBefore, or ask whoever issued it",
    /// The Host header names no host of this server.
    HostRefused => "call the server by the address in the tenant's status.endpoint",
    /// The Origin header names no origin that may call this server.
    OriginRefused => "call the server from a program, or have the origin allowed",
    /// The request body is too large.
    BodyTooLarge => "send a smaller request",
    /// The request is not one that MCP sends over HTTP.
    RequestInvalid => "POST one JSON-RPC message as application/json to /mcp",
    /// The request body is not acceptable JSON.
    BodyInvalid => "send one JSON-RPC message of valid JSON, each key once",
    // --- calls that are refused
    /// No such tool, or none that this key can see.
    ToolUnknown => "call tools/list for the tools this key can use",
    /// The arguments do not match the tool's input schema.
    ArgumentsInvalid => "correct the arguments to match the tool's inputSchema",
    /// The key's scopes do not cover the tool.
    ScopeMissing => "use a key whose scopes cover the tool, or ask for the scope to be added",
    /// The account is not among those that this key may use here.
    AccountRefused => "use an account that the list tool of this connector returns",
    /// The organisation's access does not permit the call.
    AccessDenied => "ask the platform team; the tenant's access is set in its McpTenant",
    /// Somebody froze what the call concerns.
    Frozen => "ask the platform team; whoever may delete the McpFreeze lifts it",
    /// A policy that the organisation requires is not in force.
    PolicyMissing => "create or correct the SafetyPolicy that the message names",
    /// A safety policy refuses the change.
    PolicyDenied => "read `rules`; ask for a smaller change, or ask the platform team about the policy",
    /// People must agree to the change first.
    ApprovalRequired => "wait for people to decide; call again with the same idempotency_key to hear what they said",
    /// Nobody agreed to the change in the time that there was for it.
    ApprovalExpired => "ask for the change anew, with a new idempotency_key, if it is still wanted",
    /// Somebody who must agree said no.
    ApprovalDenied => "read why; ask for another change, with a new idempotency_key",
    /// Whoever asked took the change back.
    ApprovalWithdrawn => "ask for the change anew, with a new idempotency_key, if it is still wanted",
    /// The change cannot be put before people now.
    ApprovalUnavailable => "wait until other requests are decided, then ask again",
    /// Another change of the same is on its way.
    ChangeInProgress => "wait until the change in change_id has ended, then call again",
    /// A newer change of the object took the place of this one.
    ChangeSuperseded => "ask about the newer change; use a new idempotency_key for another one",
    /// What the change was decided on has changed meanwhile.
    ChangeStale => "read the object again, and ask for the change anew if it is still wanted",
    /// The change cannot be taken back.
    ChangeNotUndoable => "read the object, and set what it shall be by the tool for it",
    /// Nobody knows yet whether the vendor made the change.
    OutcomeUnknown => "call again later with the same idempotency_key; the change is never sent twice by it",
    /// Whether the vendor made the change is for people to find out.
    OutcomeUndecided => "ask people to look at the object at the vendor; do not ask for the change again",
    /// The vendor has not made the change, as far as can be told.
    ChangeNotMade => "ask for the change anew, with a new idempotency_key, if it is still wanted",
    /// The idempotency key was used for something else.
    IdempotencyMismatch => "use a new idempotency_key for a new change, and the same one only to repeat a call word for word",
    /// The idempotency key was used too long ago.
    IdempotencyExpired => "use a new idempotency_key",
    /// The ledger cannot take the change, so it is not made.
    LedgerUnavailable => "call again later; the platform team sees the cause in the tenant's conditions",
    /// The ledger is not the one that was expected, so nothing is changed.
    LedgerMismatch => "ask the platform team; somebody has to accept the ledger that was found",
    /// Too many calls in too short a time.
    RateLimited => "wait for retry_after_ms, then call again",
    /// Too many calls at the same time.
    ServerBusy => "call again in a moment, with fewer calls at once",
    /// The server's knowledge of keys and access is too old to rely on.
    ControlPlaneStale => "call again later; the platform team sees the cause in the tenant's conditions",
    /// The call could not be put on record, so it was not made.
    AuditUnavailable => "call again later; the platform team sees the cause in the server's log",
    /// The caller hung up before the call began.
    ClientGone => "call again",
    /// The server failed in a way that is its own fault.
    InternalFault => "call again later; report it with the call_id if it stays",
    /// The server is shutting down.
    ServerStopping => "call again; another replica will answer",
    // --- calls that fail at the vendor
    /// The vendor's credentials are not there.
    SecretMissing => "create the Secret that the tenant's connectors[].credentials.secretName names",
    /// What is in a Secret cannot be used.
    SecretInvalid => "correct the Secret as the message says",
    /// The vendor no longer accepts the credentials.
    ReconnectRequired => "connect the vendor again and replace its credentials",
    /// The vendor's credentials end soon.
    TokenExpiring => "replace the token in the Secret before it ends",
    /// The vendor asks for fewer calls.
    VendorThrottled => "wait for retry_after_ms, then call again",
    /// The vendor refused the request.
    VendorRejected => "read the message; the arguments or the account's rights need a change",
    /// The vendor knows no such object.
    NotFound => "check the id with the list tool of this connector",
    /// The vendor could not be reached or failed.
    VendorUnavailable => "call again later",
    /// The vendor answered with something that is not its documented form.
    VendorAnswerInvalid => "call again later; report it if it stays",
    /// The vendor is still computing what was asked for.
    ReportPending => "call again with the id of the report",
    /// More would have to be read before the change than a call can read.
    RootTooLarge => "split it up at the vendor, or make the change there",
    /// The call took longer than it may.
    DeadlineExceeded => "call again, asking for less at once",
    // --- notifications
    /// A destination takes no notifications any more.
    DestinationGone => "put another url into the Secret that the notification's secretName names, or take the destination out of the McpTenant",
    /// A destination does not take what it is told.
    DeliveryFailed => "see that the destination answers from the server's pod: its url in the Secret, the network, and the log of the server",
    // --- conditions
    /// All is as it should be.
    AsDeclared => "nothing to do",
    /// The server has everything it needs.
    Serving => "nothing to do",
    /// The ledger is open, and the one that was expected.
    LedgerOpen => "nothing to do",
    /// The server's pod is not running yet.
    ServerStarting => "wait; if it stays, look at the events of the pod server-0",
    /// The server has not taken up the present contract yet.
    ContractPending => "wait; if it stays, look at the log of the pod server-0",
    /// The server cannot read the contract.
    ContractUnreadable => "run operator and server of the same release",
    /// The specification cannot be carried out.
    SpecInvalid => "correct the McpTenant as the message says",
    /// The specification asks for something that this release does not have.
    NotSupported => "take the field that the message names out of the McpTenant",
    /// A SafetyPolicy means nothing that could be put in force.
    PolicyInvalid => "correct the SafetyPolicy as the message says",
    /// A SafetyPolicy does not decide its own tests as they expect.
    PolicyTestsFailed => "correct the SafetyPolicy or its tests; the message names them",
    /// A SafetyPolicy that binds the tenant was not accepted as it is now.
    PolicyUnaccepted => "correct the SafetyPolicy; its condition Accepted says what is wrong",
    /// The policies that bind the tenant are more than a contract holds.
    PoliciesTooLarge => "make the policies that bind this namespace fewer or shorter",
    /// The operator has no rights in the namespace.
    OperatorNotBound => "create the RoleBinding that the message shows",
    /// The platform does not allow what the tenant chose.
    NotAllowed => "choose something that the message lists, or ask the platform team to allow it",
    /// This cluster has no Gateway API.
    GatewayApiMissing => "install the Gateway API's definitions, or use a gateway that is an ingress class",
    /// No Gateway has taken up the server's route.
    RoutePending => "wait; if it stays, see that the Gateway exists and takes routes of this namespace",
    /// The Gateway refuses the server's route.
    RouteRefused => "read the message of the Gateway's controller; the platform team can change the Gateway",
    /// This cluster cannot open the network for a host by its name.
    HostEgressUnavailable => "name addresses by cidr, use a proxy, or run Cilium with its DNS proxy",
    /// Another McpTenant already owns the namespace.
    NamespaceTaken => "delete one of the two McpTenants; a namespace is one organisation",
    /// An older McpTenant uses the account.
    AccountTaken => "take the account out of one of the two McpTenants",
    /// An older McpTenant has the host.
    HostTaken => "choose another host for one of the two McpTenants",
    /// An older McpTenant has the organisation's name.
    OrganizationTaken => "delete one of the two McpTenants; an organisation has one",
    /// The namespace does not enforce the restricted Pod Security Standard.
    PodSecurityMissing => "label the namespace as the message shows",
    /// The admission policies refused a forgery.
    GuardProven => "nothing to do",
    /// The admission policies let a forgery through.
    GuardOpen => "install the chart tenantry-api of this release again; until then no decision is carried out",
    /// Whether the admission policies are in force is not known.
    GuardUnknown => "read the message; it passes when the API server answers the operator",
    /// What the network policy forbids did not come through.
    ProbeDropped => "nothing to do",
    /// What the network policy forbids came through.
    NetworkPolicyNotEnforced => "install a network plugin that enforces NetworkPolicy, such as Cilium or Calico",
    /// Nobody has tried the walls yet.
    NotProbed => "read the message; it passes when the server runs and can look up names",
    /// Objects could not be written.
    ApplyFailed => "read the message; it names the object and the API server's answer",
    /// The tenant wants no server to run.
    ScaledToZero => "set spec.server.replicas to 1 to start the server",
    /// What somebody changed in the tenant's objects has been put right.
    DriftCorrected => "change the McpTenant instead of its objects",
    /// Reconciliation is suspended.
    Suspended => "set spec.suspend to false to resume",
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// A call or request that was not carried out, told to its caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The word.
    pub reason: Reason,
    /// What happened, for this caller, without a secret.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
    /// When it makes sense to try again, in milliseconds, where that is known.
    pub retry_after_ms: Option<u64>,
}

impl Refusal {
    /// A refusal with the reason's own remedy.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            remedy: reason.remedy().into(),
            retry_after_ms: None,
        }
    }

    /// The same, with a remedy that fits the case better.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }

    /// The same, with the time after which to try again.
    #[must_use]
    pub fn with_retry_after_ms(mut self, retry_after_ms: u64) -> Self {
        self.retry_after_ms = Some(retry_after_ms);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_one_pascal_case_word_with_a_remedy() {
        for reason in Reason::ALL {
            let word = reason.as_str();
            assert!(
                word.starts_with(|first: char| first.is_ascii_uppercase()),
                "{word}"
            );
            assert!(
                word.bytes().all(|byte| byte.is_ascii_alphanumeric()),
                "{word}"
            );
            assert!(!reason.remedy().is_empty(), "{word}");
            assert_eq!(serde_json::to_value(reason).unwrap(), word);
        }
    }
}
