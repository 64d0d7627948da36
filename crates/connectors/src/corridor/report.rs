//! Questions that are too large to be answered at once: the vendor computes a
//! report, and is asked after it for as long as the call has time. Starting one
//! changes nothing at the vendor, though it is a POST.

use std::time::Duration;

use serde_json::Value;
use tenantry_core::text;
use tokio::time::Instant;

use super::exchange::Tally;
use super::owned::{Owned, OwnedObject};
use super::path::{self, Slot};
use super::{Asking, Corridor};
use crate::answer;
use crate::call_error::CallError;
use crate::plan::{ObjectsPlan, PagingPlan, ReportPlan, RowsPlan};

/// What must be left of a call's time for the rows of a report that is done.
const FOR_THE_ROWS: Duration = Duration::from_secs(3);

/// The vendor's word for a state.
const LONGEST_STATUS: usize = 60;

impl Corridor {
    /// The rows, by way of a report if the vendor wants it so, or if the call
    /// is about a report to begin with.
    pub(super) async fn rows_or_report(
        &self,
        asking: &Asking<'_>,
        rows: &RowsPlan,
        paging: &PagingPlan,
        tally: &mut Tally,
    ) -> Result<Value, CallError> {
        let Some(plan) = &asking.plan.report else {
            return self.pages(asking, rows, paging, tally).await;
        };
        let begun = match asking.subject {
            Some(Owned::Object(object)) if object.kind() == plan.kind => object.clone(),
            _ => match self.pages(asking, rows, paging, tally).await {
                Err(CallError::TooLarge { .. }) => self.start(plan, asking, tally).await?,
                read => return read,
            },
        };
        self.done(plan, asking, &begun, tally).await?;
        let report = Owned::Object(begun);
        let asking = Asking {
            subject: Some(&report),
            ..*asking
        };
        self.pages(&asking, rows, paging, tally).await
    }

    /// Has the vendor begin a report of what was asked.
    async fn start(
        &self,
        plan: &ReportPlan,
        asking: &Asking<'_>,
        tally: &mut Tally,
    ) -> Result<OwnedObject, CallError> {
        let malformed = |problem: &str| CallError::Malformed {
            problem: problem.into(),
        };
        let (account, objects) = asking
            .account()
            .zip(self.connector.api.objects.as_ref())
            .ok_or_else(|| malformed("a report without an account"))?;
        let mut url = self.url(asking, None);
        let form = url.query().unwrap_or_default().to_owned();
        url.set_query(None);
        let body = self
            .exchange
            .change(&self.connector.api, &url, &form, tally)
            .await
            .map_err(|failure| failure.error)?;
        let id = body.get(&plan.id_field).and_then(Value::as_str);
        let id = id
            .filter(|id| objects.pattern.admits(id))
            .ok_or_else(|| malformed("a report without an id"))?;
        Ok(OwnedObject::told(account.clone(), &plan.kind, id))
    }

    /// Returns when the report is done.
    async fn done(
        &self,
        plan: &ReportPlan,
        asking: &Asking<'_>,
        report: &OwnedObject,
        tally: &mut Tally,
    ) -> Result<(), CallError> {
        let Some(objects) = &self.connector.api.objects else {
            return Ok(());
        };
        let pause = Duration::from_millis(self.exchange.limits().report_pause_ms);
        loop {
            let status = self.status(plan, objects, asking, report, tally).await?;
            if plan.done.contains(&status) {
                return Ok(());
            }
            if plan.failed.contains(&status) {
                let status = text::presentable(&status, LONGEST_STATUS);
                return Err(CallError::ReportFailed { status });
            }
            let left = asking.deadline.saturating_duration_since(Instant::now());
            if left < pause + FOR_THE_ROWS {
                return Err(CallError::ReportPending {
                    report: report.id().to_owned(),
                    argument: asking.report_argument.to_owned(),
                    retry_after_ms: self.exchange.limits().report_pause_ms,
                });
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn status(
        &self,
        plan: &ReportPlan,
        objects: &ObjectsPlan,
        asking: &Asking<'_>,
        report: &OwnedObject,
        tally: &mut Tally,
    ) -> Result<String, CallError> {
        let owned = Owned::Object(report.clone());
        let version = &self.connector.api.version;
        let path = path::fill(&objects.path, version, Slot::Owned(&owned));
        let mut url = self.exchange.url(path);
        let fields = [
            &objects.id_field,
            &objects.account.field,
            &plan.status_field,
        ];
        let fields = fields.map(String::as_str).join(",");
        url.query_pairs_mut().append_pair("fields", &fields);
        let body = self
            .exchange
            .ask(&self.connector.api, &url, asking.deadline, tally)
            .await?;
        let account = answer::row_account(&objects.account, &body);
        if account.as_deref() != Some(report.account().id().as_str()) {
            return Err(CallError::ForeignRow {
                asked: report.account().id().to_string(),
            });
        }
        let status = body.get(&plan.status_field).and_then(Value::as_str);
        status
            .map(str::to_owned)
            .ok_or_else(|| CallError::Malformed {
                problem: "a report without a status".into(),
            })
    }
}
