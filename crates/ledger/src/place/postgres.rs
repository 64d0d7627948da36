//! The shared engine: any number of replicas, a schema for each organisation.

use secrecy::ExposeSecret as _;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgPool};
use tenantry_core::name::Organization;

use super::{PostgresPlace, QUEUE, Tls};
use crate::error::LedgerError;
use crate::sql::{Engine, answered};

/// What holds in every session. Whoever holds the book and falls silent (a
/// paused node) is cut off, so that the others go on; who waits for it gives up
/// in time to answer its caller.
///
/// Every statement has its index. Before its first statistics a new database
/// would rather read whole tables, and keeps to that while they grow.
const SETTINGS: [(&str, &str); 7] = [
    ("synchronous_commit", "on"),
    ("enable_seqscan", "off"),
    ("jit", "off"),
    ("default_transaction_isolation", "read committed"),
    ("lock_timeout", "8s"),
    ("statement_timeout", "10s"),
    ("idle_in_transaction_session_timeout", "5s"),
];

/// Settings without which a database forgets what it confirmed. The last one is
/// ours: a pooler on the way may have dropped it, and the others with it.
const MUST_BE_ON: [(&str, &str); 3] = [
    ("fsync", "SELECT current_setting('fsync') = 'on'"),
    (
        "full_page_writes",
        "SELECT current_setting('full_page_writes') = 'on'",
    ),
    (
        "synchronous_commit",
        "SELECT current_setting('synchronous_commit') = 'on' \
         AND current_setting('default_transaction_isolation') = 'read committed' \
         AND current_setting('lock_timeout') = '8s' \
         AND current_setting('statement_timeout') = '10s' \
         AND current_setting('idle_in_transaction_session_timeout') = '5s'",
    ),
];

pub(crate) async fn connect(
    place: &PostgresPlace,
    organization: &Organization,
) -> Result<Engine, LedgerError> {
    let schema = schema(organization);
    let options = options(place)
        .options(SETTINGS)
        .options([("search_path", schema.as_str())]);
    let pool = PgPoolOptions::new()
        .max_connections(place.connections)
        .acquire_timeout(QUEUE)
        // One that is silent goes, and with it the place that it has.
        .after_release(|connection, _| {
            Box::pin(async { answered(connection.ping()).await.map(|()| true) })
        })
        .connect_with(options)
        .await?;
    for (setting, ask) in MUST_BE_ON {
        let is_on: bool = sqlx::query_scalar(ask).fetch_one(&pool).await?;
        if !is_on {
            return Err(LedgerError::Forgetful { setting });
        }
    }
    create(&pool, &schema).await?;
    Ok(Engine::Postgres(pool))
}

/// The schema of an organisation. Names of organisations have no `_`, so no two
/// share one.
fn schema(organization: &Organization) -> String {
    format!("tenantry_{}", organization.as_str().replace('-', "_"))
}

fn options(place: &PostgresPlace) -> PgConnectOptions {
    // Without the password files of whoever runs this.
    let options = PgConnectOptions::new_without_pgpass()
        .port(place.port)
        .database(&place.database)
        .username(&place.user)
        .application_name("tenantry")
        .disable_statement_logging();
    let options = if place.host.starts_with('/') {
        options.socket(&place.host)
    } else {
        options.host(&place.host)
    };
    let options = match &place.password {
        Some(password) => options.password(password.expose_secret()),
        None => options,
    };
    match &place.tls {
        Tls::Verified { roots_pem } => options
            .ssl_mode(PgSslMode::VerifyFull)
            .ssl_root_cert_from_pem(roots_pem.clone()),
        Tls::Off => options.ssl_mode(PgSslMode::Disable),
    }
}

/// Makes the schema where it is missing. A role that finds its own needs no
/// right to create others.
async fn create(pool: &PgPool, schema: &str) -> Result<(), LedgerError> {
    const IS_THERE: &str = "SELECT to_regnamespace($1) IS NOT NULL";
    let is_there: bool = sqlx::query_scalar(IS_THERE)
        .bind(schema)
        .fetch_one(pool)
        .await?;
    if is_there {
        return Ok(());
    }
    // Two replicas may both find it missing; the statement is not proof against
    // that by itself. A schema's name is letters, digits and `_`.
    let statement = format!(
        "SELECT pg_advisory_xact_lock(hashtext('{schema}')); CREATE SCHEMA IF NOT EXISTS {schema}"
    );
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(pool)
        .await?;
    Ok(())
}
