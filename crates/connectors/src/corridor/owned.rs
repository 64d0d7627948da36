//! The proofs without which nothing is asked of a vendor: this account, this
//! object is the organisation's. Ids carry no account, so a proof of an object
//! holds what the vendor itself said when it was asked whose it is.
//!
//! Only a corridor makes a proof. There is none from a text:
//!
//! ```compile_fail,E0451
//! use tenantry_connectors::corridor::owned::{OwnedAccount, OwnedObject};
//!
//! fn forged(account: OwnedAccount) -> OwnedObject {
//!     OwnedObject { account, kind: "campaign".into(), id: "12001001001".into() }
//! }
//! ```
//!
//! and nothing else can be put into a request:
//!
//! ```compile_fail,E0308
//! use serde_json::Map;
//! use tenantry_connectors::connector::{ClaimedObject, Tool};
//! use tenantry_connectors::corridor::Corridor;
//! use tokio::time::Instant;
//!
//! async fn raw(corridor: &Corridor, tool: &Tool, claimed: ClaimedObject) {
//!     let _ = corridor.read(tool, &Map::new(), Some(claimed), Instant::now()).await;
//! }
//! ```
//!
//! where a proof can:
//!
//! ```
//! use serde_json::Map;
//! use tenantry_connectors::connector::Tool;
//! use tenantry_connectors::corridor::Corridor;
//! use tenantry_connectors::corridor::owned::Owned;
//! use tokio::time::Instant;
//!
//! async fn proven(corridor: &Corridor, tool: &Tool, owned: Owned) {
//!     let _ = corridor.read(tool, &Map::new(), Some(owned), Instant::now()).await;
//! }
//! ```

use tenantry_core::name::{AccountId, Currency};
use tenantry_core::reason::{Reason, Refusal};

use crate::call_error::CallError;
use crate::connector::ClaimedObject;

/// Something that belongs to the organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owned {
    /// An account.
    Account(OwnedAccount),
    /// An object of an account.
    Object(OwnedObject),
}

/// An account that belongs to the organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedAccount {
    id: AccountId,
    currency: Currency,
}

/// An object that, as the vendor says, belongs to an account of the organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedObject {
    account: OwnedAccount,
    kind: String,
    id: String,
}

/// Why there is no proof.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotOwned {
    /// It belongs to an account that does not exist for the caller.
    #[error("{} `{}` belongs to account `{account}`, which may not be used here", .object.kind(), .object.id())]
    Foreign {
        /// The object.
        object: ClaimedObject,
        /// Whose it is.
        account: AccountId,
    },
    /// The vendor knows no object of an account by that id.
    #[error("{} `{}` is no object of an account", .object.kind(), .object.id())]
    Unknown {
        /// The object.
        object: ClaimedObject,
        /// What the vendor said.
        #[source]
        cause: Option<CallError>,
    },
    /// The vendor could not be asked.
    #[error("asking the vendor whose {} `{}` is", .object.kind(), .object.id())]
    Unasked {
        /// The object.
        object: ClaimedObject,
        /// Why not.
        #[source]
        cause: CallError,
    },
}

impl Owned {
    /// The account that it is or belongs to.
    pub fn account(&self) -> &OwnedAccount {
        match self {
            Self::Account(account) => account,
            Self::Object(object) => &object.account,
        }
    }

    /// What stands for it in a path.
    pub(super) fn segment(&self) -> &str {
        match self {
            Self::Account(account) => account.id.as_str(),
            Self::Object(object) => &object.id,
        }
    }
}

impl OwnedAccount {
    pub(super) fn new(id: AccountId, currency: Currency) -> Self {
        Self { id, currency }
    }

    /// The account, in the vendor's spelling.
    pub fn id(&self) -> &AccountId {
        &self.id
    }

    /// Its currency, as declared.
    pub fn currency(&self) -> &Currency {
        &self.currency
    }
}

impl OwnedObject {
    pub(super) fn new(account: OwnedAccount, claimed: &ClaimedObject) -> Self {
        Self {
            account,
            kind: claimed.kind().to_owned(),
            id: claimed.id().to_owned(),
        }
    }

    /// What the vendor itself named as an account's.
    pub(super) fn told(account: OwnedAccount, kind: &str, id: &str) -> Self {
        Self {
            account,
            kind: kind.to_owned(),
            id: id.to_owned(),
        }
    }

    /// Whether it is the one that the arguments name.
    pub(super) fn is(&self, claimed: &ClaimedObject) -> bool {
        self.kind == claimed.kind() && self.id == claimed.id()
    }

    /// The account that it belongs to.
    pub fn account(&self) -> &OwnedAccount {
        &self.account
    }

    /// What kind of object it was claimed to be.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl NotOwned {
    /// What the client hears. An object of somebody else and one that does not
    /// exist are the same to it, to the letter.
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::Foreign { object, .. } | Self::Unknown { object, .. } => {
                let kind = object.kind().replace('_', " ");
                let message = format!("no {kind} `{}` in the accounts of this key", object.id());
                Refusal::new(Reason::NotFound, message)
            }
            Self::Unasked { cause, .. } => cause.refusal(),
        }
    }
}
