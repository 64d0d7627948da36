//! The contract that is obeyed, with everything that was built from it: the
//! corridors, the limits, the hosts and origins. A new contract makes a new
//! one; calls in progress keep the one they began with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tenantry_connectors::corridor::{Corridor, CorridorError, CorridorLimits, Way};
use tenantry_connectors::token::TokenSource;
use tenantry_connectors::transport::Transport;
use tenantry_core::authorize::visible_accounts;
use tenantry_core::digest::Digest;
use tenantry_core::freeze::Freezes;
use tenantry_core::key::KeyRecord;
use tenantry_core::name::{AccountId, ConnectorName};
use tenantry_core::policy::facts::ExposureTerms;
use tenantry_core::policy::limit_exposure;
use tenantry_core::tenant::{ConnectorConfig, ContractError, TenantConfig};
use url::Url;

use crate::catalog::Catalog;
use crate::credentials::Credentials;
use crate::knowledge::RawContract;
use crate::limiter::Limiter;
use crate::token_watch::KnownToken;

/// Why a contract cannot be obeyed.
#[derive(Debug, thiserror::Error)]
pub enum TakeUpError {
    /// It cannot be read.
    #[error("reading the contract")]
    Unreadable(#[source] ContractError),
    /// It names a connector that this release does not have.
    #[error("this release has no connector `{0}`")]
    UnknownConnector(ConnectorName),
    /// It sends a connector to an address that is none.
    #[error("the sandbox address of connector `{connector}` is no URL")]
    SandboxAddress {
        /// The connector.
        connector: ConnectorName,
        /// Why not.
        #[source]
        cause: url::ParseError,
    },
    /// The way to the vendor cannot be built.
    #[error("building the corridor of connector `{connector}`")]
    Corridor {
        /// The connector.
        connector: ConnectorName,
        /// Why not.
        #[source]
        cause: CorridorError,
    },
}

/// What a contract is built from, beside itself.
pub struct Workshop {
    /// The tools there are.
    pub catalog: Arc<Catalog>,
    /// Where the connectors' Secrets are.
    pub credentials: Credentials,
    /// The bounds of every corridor.
    pub corridor_limits: CorridorLimits,
    /// What carries requests instead of the network; only a benchmark has one.
    pub transport: Option<Arc<dyn Transport>>,
}

/// A contract that is obeyed.
pub struct InForce {
    /// What it says.
    pub tenant: TenantConfig,
    /// The object and generation that it came in.
    pub source: Arc<RawContract>,
    /// What is used of its limits.
    pub limiter: Arc<Limiter>,
    /// What identifies the policies under which changes are decided.
    pub policy_digest: Digest,
    /// What counts where policies limit all live budgets together.
    pub exposure_terms: ExposureTerms,
    connectors: BTreeMap<ConnectorName, Arc<Embassy>>,
}

/// One connector of the contract: its token and the way to it.
struct Embassy {
    config: ConnectorConfig,
    tokens: Arc<dyn TokenSource>,
    corridor: Arc<Corridor>,
    known: Arc<KnownToken>,
}

/// A connector's access to its vendor.
pub struct Grant<'f> {
    /// Where its token comes from.
    pub tokens: &'f dyn TokenSource,
    /// The way to the vendor, over all its accounts.
    pub corridor: &'f Corridor,
    /// What is known of the token.
    pub known: &'f KnownToken,
}

impl Workshop {
    /// Builds what `source` asks for. What did not change since `before` is
    /// kept, with its connections and its counts.
    pub fn take_up(
        &self,
        source: Arc<RawContract>,
        before: Option<&InForce>,
    ) -> Result<InForce, TakeUpError> {
        let tenant = TenantConfig::read(&source.contract).map_err(TakeUpError::Unreadable)?;
        let proxy = tenant.proxy.as_deref();
        let mut connectors = BTreeMap::new();
        for config in &tenant.connectors {
            let present = before
                .filter(|before| before.tenant.proxy.as_deref() == proxy)
                .and_then(|before| before.connectors.get(&config.name));
            let embassy = match present {
                Some(embassy) if embassy.config == *config => Arc::clone(embassy),
                Some(embassy) if embassy.is_at_address_of(config) => {
                    Arc::new(embassy.for_accounts_of(config)?)
                }
                _ => Arc::new(self.embassy(config, proxy)?),
            };
            connectors.insert(config.name.clone(), embassy);
        }
        let limiter = match before.map(|before| &before.limiter) {
            Some(limiter) if limiter.limits() == tenant.limits => Arc::clone(limiter),
            Some(limiter) => Arc::new(limiter.followed_by(tenant.limits)),
            None => Arc::new(Limiter::new(tenant.limits)),
        };
        Ok(InForce {
            policy_digest: tenant.policy_digest(),
            exposure_terms: ExposureTerms {
                accounts: tenant.changeable_accounts(),
                overspend_percent: self.catalog.overspend_percent(),
            },
            tenant,
            source,
            limiter,
            connectors,
        })
    }

    fn embassy(
        &self,
        config: &ConnectorConfig,
        proxy: Option<&str>,
    ) -> Result<Embassy, TakeUpError> {
        let tokens = self.credentials.source(&config.name);
        let corridor = self.corridor(config, proxy, Arc::clone(&tokens))?;
        Ok(Embassy {
            config: config.clone(),
            tokens,
            corridor: Arc::new(corridor),
            known: Arc::default(),
        })
    }

    fn corridor(
        &self,
        config: &ConnectorConfig,
        proxy: Option<&str>,
        tokens: Arc<dyn TokenSource>,
    ) -> Result<Corridor, TakeUpError> {
        let connector = self
            .catalog
            .connector(&config.name)
            .ok_or_else(|| TakeUpError::UnknownConnector(config.name.clone()))?;
        let address = config
            .sandbox_base_url
            .as_deref()
            .map(Url::parse)
            .transpose();
        let address = address.map_err(|cause| TakeUpError::SandboxAddress {
            connector: config.name.clone(),
            cause,
        })?;
        let way = Way {
            base_url: address,
            proxy: proxy.map(str::to_owned),
            transport: self.transport.clone(),
        };
        Corridor::new(
            Arc::clone(connector),
            config.accounts.clone(),
            way,
            tokens,
            self.corridor_limits,
        )
        .map_err(|cause| TakeUpError::Corridor {
            connector: config.name.clone(),
            cause,
        })
    }
}

impl Embassy {
    /// Whether `config` means the same place, for whichever accounts.
    fn is_at_address_of(&self, config: &ConnectorConfig) -> bool {
        let accounts = config.accounts.clone();
        let mine = ConnectorConfig {
            accounts,
            ..self.config.clone()
        };
        mine == *config
    }

    /// The same with other accounts: connections, token and quotas are kept.
    fn for_accounts_of(&self, config: &ConnectorConfig) -> Result<Self, TakeUpError> {
        let corridor = self.corridor.for_accounts(config.accounts.clone());
        let corridor = corridor.map_err(|cause| TakeUpError::Corridor {
            connector: config.name.clone(),
            cause,
        })?;
        Ok(Self {
            config: config.clone(),
            tokens: Arc::clone(&self.tokens),
            corridor: Arc::new(corridor),
            known: Arc::clone(&self.known),
        })
    }
}

impl InForce {
    /// What counts where policies limit all live budgets together; nothing where
    /// none does.
    pub fn limited_exposure(&self) -> Option<&ExposureTerms> {
        limit_exposure(&self.tenant.policies).then_some(&self.exposure_terms)
    }

    /// Whether the organisation uses `connector`.
    pub fn uses(&self, connector: &ConnectorName) -> bool {
        self.connectors.contains_key(connector)
    }

    /// The way to `connector` for `key`, in which no account exists that the
    /// key may not touch or a freeze has disabled: tools that span accounts
    /// answer for the others alone.
    pub fn corridor_for(
        &self,
        freezes: &Freezes,
        key: &KeyRecord,
        connector: &ConnectorName,
    ) -> Option<Arc<Corridor>> {
        let embassy = self.connectors.get(connector)?;
        let visible: BTreeSet<&AccountId> = visible_accounts(&self.tenant, freezes, key, connector)
            .map(|account| &account.id)
            .collect();
        if visible.len() == embassy.config.accounts.len() {
            return Some(Arc::clone(&embassy.corridor));
        }
        Some(Arc::new(
            embassy
                .corridor
                .narrowed(|account| visible.contains(account)),
        ))
    }

    /// The way to `connector`, over all its accounts.
    pub fn corridor(&self, connector: &ConnectorName) -> Option<&Corridor> {
        Some(&self.connectors.get(connector)?.corridor)
    }

    /// The connectors, each with its access to the vendor.
    pub fn grants(&self) -> impl Iterator<Item = (&ConnectorName, Grant<'_>)> {
        self.connectors.iter().map(|(name, embassy)| {
            let grant = Grant {
                tokens: embassy.tokens.as_ref(),
                corridor: &embassy.corridor,
                known: &embassy.known,
            };
            (name, grant)
        })
    }
}
