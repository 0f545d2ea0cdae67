//! How videos come in.

use super::Caller;
use super::error::{internal, refusal};
use super::facts::WishInput;
use super::link::date;
use super::video::VideoPayload;
use super::write::Request;
use crate::upload::{NewUpload, UploadId};
use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::artefact::EncoderSettings;
use domain::id::VideoId;
use domain::model::is_name;
use domain::video::{Command, Source, Video, Wish};
use domain::{BlobRef, MediaTime};
use runtime::blobs::direct::DIRECT_BYTES_MAX;
use std::time::Duration;
use url::Url;

/// Longest title, in characters: it is shown in one line.
const TITLE_CHARACTERS_MAX: usize = 300;

/// Longest address, in bytes.
const URL_BYTES_MAX: usize = 4_096;

/// How long a direct upload may take to begin; once begun it may go on.
const DIRECT_TIME: Duration = Duration::from_secs(3_600);

/// A video that clips are to be made of. Say where it is by exactly one of `url` and `uploadId`.
#[derive(InputObject, Debug)]
pub(crate) struct ImportVideoInput {
    /// An `http` or `https` address of a media file, without user name and password.
    url: Option<String>,
    /// A finished upload, see `createUpload`.
    upload_id: Option<ID>,
    /// Shown to people, up to 300 characters; the file name when left out.
    title: Option<String>,
    /// What is wanted of it.
    wish: Option<WishInput>,
    /// A finished upload of SRT, WebVTT or Whisper JSON, to use instead of listening.
    subtitles_upload_id: Option<ID>,
}

/// A place to send a file to.
#[derive(SimpleObject)]
pub(crate) struct UploadTicket {
    /// Give it to `importVideo`.
    upload_id: ID,
    /// Path on this server; send the bytes there by tus 1.0 (`PATCH` with `Upload-Offset`). It takes up where it was cut off.
    url: String,
    /// An address at which the whole file can be sent past this server instead, by one `PUT` that begins within an hour; whoever has it can
    /// write there. Null where this server keeps files itself, and for files over 5 GiB. `importVideo` then fetches, measures and hashes it.
    direct_url: Option<String>,
    /// When the upload is forgotten unless it goes on.
    expires_at: DateTime<Utc>,
}

/// Ways in.
#[derive(Default)]
pub(super) struct ImportMutation;

#[Object]
impl ImportMutation {
    /// Takes in a video and makes clips of it. Follow it by `videoProgress`.
    async fn import_video(
        &self,
        context: &Context<'_>,
        input: ImportVideoInput,
        #[graphql(desc = "The same key gives the same video; with other input it is refused as VIDEO_ALREADY_SUBMITTED.")]
        idempotency_key: Option<String>,
    ) -> Result<VideoPayload> {
        let request = Request::of(context, idempotency_key)?;
        let (source, name) = source(request.caller, &input).await?;
        let subtitles = match &input.subtitles_upload_id {
            Some(upload) => Some(uploaded(request.caller, upload).await?.0),
            None => None,
        };
        let title = title(input.title.as_deref().unwrap_or(&name))?;
        let wish = wish(input.wish.clone().unwrap_or_default(), request.caller.gateway.encoder.clone())?;
        let video = VideoId(request.made("importVideo"));
        let command = Command::Submit { title, source, subtitles, wish };
        let commit = request.commit("importVideo", &command);
        let token = request.commit_with(commit, |commit| commit.then::<Video>(video.0, command)).await?;
        Ok(VideoPayload { video, token })
    }

    /// Opens an upload of a file of up to 20 GiB. A tus client may as well create one itself by `POST /files`.
    async fn create_upload(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The file's name, for people and for its type.")] file_name: String,
        #[graphql(desc = "The file's size.")] bytes: u64,
    ) -> Result<UploadTicket> {
        let caller = Caller::of(context)?;
        let now = caller.gateway.clock.now();
        let new = NewUpload { bytes, file_name, media_type: None, is_partial: false };
        let upload = caller.gateway.uploads.create(caller.workspace(), new, now).await;
        let upload = upload.map_err(|problem| refusal(problem.code, problem.message))?;
        let direct_url = match upload.bytes <= DIRECT_BYTES_MAX {
            true => caller.gateway.blobs.direct_upload(&upload.id.to_string(), DIRECT_TIME).await.map_err(internal)?,
            false => None,
        };
        Ok(UploadTicket {
            upload_id: upload.id.to_string().into(),
            url: upload.path(),
            direct_url: direct_url.map(Into::into),
            expires_at: date(upload.expires),
        })
    }
}

/// Returns where the video is, and a name for it.
async fn source(caller: Caller<'_>, input: &ImportVideoInput) -> Result<(Source, String)> {
    match (&input.url, &input.upload_id) {
        (Some(url), None) => {
            let url = address(url)?;
            let last = url.path_segments().and_then(|mut parts| parts.rfind(|part| !part.is_empty()));
            let name = last.or(url.host_str()).unwrap_or("video").to_owned();
            Ok((Source::Url { url: url.into() }, name))
        }
        (None, Some(upload)) => {
            let (blob, name) = uploaded(caller, upload).await?;
            Ok((Source::Upload { blob }, name))
        }
        (None, None) | (Some(_), Some(_)) => Err(refusal("BAD_SOURCE", "say where the video is by exactly one of url and uploadId")),
    }
}

fn address(text: &str) -> Result<Url> {
    let refused = |why: &str| refusal("BAD_URL", format!("the address {why}"));
    if text.len() > URL_BYTES_MAX {
        return Err(refused("is too long"));
    }
    let url = Url::parse(text.trim()).map_err(|_| refused("cannot be read; it looks like https://example.org/talk.mp4"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refused("must start with http:// or https://"));
    }
    // The log keeps the address for ever, so it must hold no secret.
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("must not hold a user name or a password"));
    }
    Ok(url)
}

async fn uploaded(caller: Caller<'_>, upload: &str) -> Result<(BlobRef, String)> {
    let id: UploadId = super::error::id(upload)?;
    let gateway = caller.gateway;
    let found = gateway.uploads.finished(&gateway.blobs, caller.workspace(), id, gateway.clock.now()).await;
    found.map_err(|problem| refusal(problem.code, problem.message))
}

fn title(text: &str) -> Result<String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > TITLE_CHARACTERS_MAX || text.chars().any(char::is_control) {
        return Err(refusal("BAD_TITLE", format!("a title is one line of 1 to {TITLE_CHARACTERS_MAX} characters")));
    }
    Ok(text.into())
}

fn wish(input: WishInput, encoder: EncoderSettings) -> Result<Wish> {
    let default = Wish::default();
    let seconds = |given: Option<f64>, default: MediaTime| given.map_or(default, MediaTime::from_seconds);
    Ok(Wish {
        count: input.count,
        ratios: input.ratios.map_or(default.ratios, |ratios| ratios.into_iter().map(Into::into).collect()),
        style: input.style.map_or(default.style, Into::into),
        length_min: seconds(input.length_min_seconds, default.length_min),
        length_max: seconds(input.length_max_seconds, default.length_max),
        model: name("model", input.model.unwrap_or(default.model))?,
        language: input.language.map(|language| name("language", language)).transpose()?,
        encoder,
    })
}

/// A language is looked up in a model by name, so the same rule is good for both.
fn name(what: &str, text: String) -> Result<String> {
    if is_name(&text) {
        Ok(text)
    } else {
        Err(refusal("BAD_WISH", format!("the {what} is a short name of letters, digits, dots and dashes")))
    }
}
