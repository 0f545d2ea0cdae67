//! Jobs that were put aside, and asking for them once more.

use super::error::{id, internal};
use super::history::{HistoryEvent, cursor};
use super::link::date;
use super::token::{Token, wait};
use super::write::Request;
use super::{Caller, page_cost, page_rows};
use async_graphql::connection::{Connection, Edge, OpaqueCursor};
use async_graphql::{Context, ID, Object, Result};
use chrono::{DateTime, Utc};
use domain::id::JobId;
use domain::job::{Command, Job};
use projections::{audit, parked_jobs};

pub(crate) struct ParkedJob(parked_jobs::Row);

type JobCursor = OpaqueCursor<(u64, String)>;

/// Work that was given up although not even that could be recorded where it is waited for. It is done once more when somebody asks for it.
#[Object]
impl ParkedJob {
    /// Such as `job_018f3c0a…`; `history` tells everything that happened to it.
    async fn id(&self) -> ID {
        self.0.job.to_string().into()
    }

    /// Who gave it up: `ingest`, `transcribe`, `analyze`, `score` or `render`.
    async fn processor(&self) -> &str {
        &self.0.processor
    }

    /// Type of the event that called for it, such as `clip.render_requested`.
    async fn cause_type(&self) -> &str {
        &self.0.cause_type
    }

    /// The event that called for it.
    async fn cause(&self, context: &Context<'_>) -> Result<Option<HistoryEvent>> {
        let caller = Caller::of(context)?;
        let cause = audit::by_event(&caller.gateway.store, caller.workspace(), self.0.cause).await.map_err(internal)?;
        Ok(cause.map(HistoryEvent))
    }

    /// How often it was tried.
    async fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// The last error with its causes.
    async fn error(&self) -> &str {
        &self.0.error
    }

    /// When it was parked last.
    async fn parked_at(&self) -> DateTime<Utc> {
        date(self.0.parked_us)
    }

    /// Whether somebody asked for it once more and nothing came of it yet.
    async fn is_replaying(&self) -> bool {
        self.0.is_replaying
    }
}

/// Questions about parked jobs.
#[derive(Default)]
pub(super) struct JobQuery;

#[Object]
impl JobQuery {
    /// Parked jobs of all processes, oldest first.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn parked_jobs(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "How many, 1 to 100.")] first: Option<i32>,
        #[graphql(desc = "A cursor of this connection: start behind it.")] after: Option<String>,
        #[graphql(desc = "Answer with at least what this token has seen.")] token: Option<Token>,
    ) -> Result<Connection<JobCursor, ParkedJob>> {
        let caller = Caller::of(context)?;
        wait(caller, token.as_ref()).await?;
        let limit = page_rows(first)?;
        let place = match after {
            Some(text) => {
                let (position, job) = cursor::<(u64, String)>(&text)?;
                Some(parked_jobs::Place { position, job: id(&job)? })
            }
            None => None,
        };
        let mut rows = parked_jobs::oldest(&caller.gateway.store, caller.workspace(), place, limit + 1).await.map_err(internal)?;
        let mut connection = Connection::new(place.is_some(), rows.len() > limit as usize);
        rows.truncate(limit as usize);
        let edge = |row: parked_jobs::Row| Edge::new(OpaqueCursor((row.position, row.job.to_string())), ParkedJob(row));
        connection.edges.extend(rows.into_iter().map(edge));
        Ok(connection)
    }

    /// A parked job; null when there is none, or it was done meanwhile.
    async fn parked_job(
        &self,
        context: &Context<'_>,
        id: ID,
        #[graphql(desc = "Answer with at least what this token has seen.")] after: Option<Token>,
    ) -> Result<Option<ParkedJob>> {
        let caller = Caller::of(context)?;
        let job = super::error::id(&id)?;
        wait(caller, after.as_ref()).await?;
        find(caller, job).await
    }
}

async fn find(caller: Caller<'_>, job: JobId) -> Result<Option<ParkedJob>> {
    Ok(parked_jobs::by_id(&caller.gateway.store, caller.workspace(), job).await.map_err(internal)?.map(ParkedJob))
}

pub(crate) struct JobPayload {
    job: JobId,
    token: Token,
}

/// What came of asking for a job.
#[Object]
impl JobPayload {
    /// Its id.
    async fn id(&self) -> ID {
        self.job.to_string().into()
    }

    /// Give it to a query as `after` to see this change.
    async fn token(&self) -> &Token {
        &self.token
    }

    /// The job with this change; null when it was done already.
    async fn job(&self, context: &Context<'_>) -> Result<Option<ParkedJob>> {
        let caller = Caller::of(context)?;
        wait(caller, Some(&self.token)).await?;
        find(caller, self.job).await
    }
}

/// Changes to parked jobs.
#[derive(Default)]
pub(super) struct JobMutation;

#[Object]
impl JobMutation {
    /// Asks for a parked job once more. Any worker may do it, and what it did before is not done twice.
    async fn replay_job(
        &self,
        context: &Context<'_>,
        id: ID,
        #[graphql(desc = "The same key for the same request has its effect once.")] idempotency_key: Option<String>,
    ) -> Result<JobPayload> {
        let job: JobId = super::error::id(&id)?;
        let request = Request::of(context, idempotency_key)?;
        let commit = request.commit("replayJob", &job);
        let token = request.commit_with(commit, |commit| commit.then::<Job>(job.0, Command::Replay)).await?;
        Ok(JobPayload { job, token })
    }
}
