// The page: log in, add videos, watch them become clips.

import { graphql, login, logout, subscribe, upload } from '/assets/api.js';
import { CLIP_FIELDS, clipCard } from '/assets/clip.js';
import { attempt, byId, clock, h, say } from '/assets/dom.js';

const VIDEO_FIELDS = 'id title state submittedAt stages { stage state } failure { code reason }';
const LIST = `query($after: String) { videos(first: 20, after: $after) { nodes { ${VIDEO_FIELDS} } pageInfo { hasNextPage endCursor } } }`;
const DETAIL = `query($id: ID!, $after: Token) { video(id: $id, after: $after) {
  ${VIDEO_FIELDS} explanation facts { durationSeconds width height } original { url }
  transcript { isComplete language chunks { total heard } segments { span { startSeconds } words { text startSeconds endSeconds } } }
  clips(first: 40) { nodes { ${CLIP_FIELDS} } } } }`;
const PROGRESS = `subscription($id: ID!) { videoProgress(videoId: $id) { stage state fraction etaMs realtimeFactor detail token isFinal failure { reason } } }`;
const EVENTS = `subscription($id: ID!) { events(videoId: $id) { type token } }`;
const STAGES = ['INGEST', 'TRANSCRIBE', 'ANALYZE', 'SCORE', 'RENDER'];
/** Events that change what a card shows; they come in bursts, so the page waits a moment for more. */
const SHOWN_EVENTS = ['clip.rendered', 'clip.render_failed', 'clip.render_requested', 'video.clips_proposed', 'video.nothing_found', 'video.ingested', 'video.transcript_attached'];
const BURST_MS = 250;

let cursor = null;
let shown = null;
let watching = [];

// Logging in and out

function showLogin() {
  byId('login').hidden = false;
  byId('studio').hidden = true;
  byId('logout').hidden = true;
  byId('key').focus();
}

async function enter() {
  await graphql('{ viewer { actor } }');
  byId('login').hidden = true;
  byId('studio').hidden = false;
  byId('logout').hidden = false;
  await list();
}

byId('login-form').addEventListener('submit', (event) => {
  event.preventDefault();
  attempt(async () => {
    await login(byId('key').value.trim());
    byId('key').value = '';
    say('');
    await enter();
  });
});

byId('logout').addEventListener('click', () => attempt(async () => {
  await logout();
  location.reload();
}));

document.addEventListener('logged-out', showLogin);

// Adding videos

async function importVideo(input) {
  const data = await graphql('mutation($input: ImportVideoInput!) { importVideo(input: $input) { id token } }', { input });
  await list();
  await open(data.importVideo.id, data.importVideo.token);
}

async function send(file) {
  const bar = h('progress', { max: 1, value: 0, 'aria-label': `Upload of ${file.name}` });
  const row = h('li', {}, `${file.name} `, bar);
  byId('uploads').append(row);
  await attempt(async () => {
    const uploadId = await upload(file, (part) => { bar.value = part; });
    await importVideo({ uploadId, title: file.name });
    say(`${file.name} is in.`);
  });
  row.remove();
}

byId('file').addEventListener('change', (event) => {
  [...event.target.files].forEach(send);
  event.target.value = '';
});

const drop = byId('drop');
drop.addEventListener('dragover', (event) => {
  event.preventDefault();
  drop.classList.add('over');
});
drop.addEventListener('dragleave', () => drop.classList.remove('over'));
drop.addEventListener('drop', (event) => {
  event.preventDefault();
  drop.classList.remove('over');
  [...event.dataTransfer.files].forEach(send);
});

byId('url-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const url = byId('url').value.trim();
  if (url) {
    attempt(async () => {
      await importVideo({ url });
      byId('url').value = '';
    });
  }
});

// The list

function videoButton(video) {
  const isCurrent = shown?.id === video.id;
  return h('li', { 'data-video': video.id },
    h('button', { type: 'button', class: 'video', 'aria-current': String(isCurrent), onclick: () => attempt(() => open(video.id)) },
      video.title, ' ', h('span', { class: 'pill' }, video.state.toLowerCase())));
}

async function list(isMore = false) {
  const { videos } = await graphql(LIST, { after: isMore ? cursor : null });
  const rows = videos.nodes.map(videoButton);
  if (isMore) byId('videos').append(...rows);
  else byId('videos').replaceChildren(...(rows.length ? rows : [h('li', { class: 'soft' }, 'None yet.')]));
  cursor = videos.pageInfo.endCursor;
  byId('more').hidden = !videos.pageInfo.hasNextPage;
}

byId('more').addEventListener('click', () => attempt(() => list(true)));

// One video

function seek(seconds) {
  const original = document.querySelector('.original');
  if (!original) return;
  original.currentTime = seconds;
  original.scrollIntoView({ block: 'center', behavior: 'smooth' });
  original.play().catch(() => {});
}

function stageBox(video, stage) {
  const state = video.stages.find((found) => found.stage === stage)?.state ?? 'WAITING';
  const isOver = ['DONE', 'SKIPPED'].includes(state);
  return h('div', { class: 'stage', 'data-stage': stage },
    h('strong', {}, stage.toLowerCase()), ' ', h('span', { class: 'pill', 'data-part': 'state' }, state.toLowerCase()),
    h('progress', { max: 1, value: isOver ? 1 : state === 'RUNNING' ? null : 0, 'aria-label': `Progress of ${stage.toLowerCase()}` }),
    h('div', { class: 'soft', 'data-part': 'detail' }),
    state === 'FAILED' && video.state !== 'REFUSED' && h('button', { type: 'button', onclick: () => attempt(() => retry(video.id, stage)) }, 'Try again'));
}

async function retry(videoId, stage) {
  const data = await graphql('mutation($videoId: ID!, $stage: Stage!) { retryStage(videoId: $videoId, stage: $stage) { token } }', { videoId, stage });
  await open(videoId, data.retryStage.token);
}

async function remove(video) {
  if (!confirm(`Delete "${video.title}" and its clips?`)) return;
  await graphql('mutation($id: ID!) { deleteVideo(id: $id) { video { id } } }', { id: video.id });
  close();
  byId('video').replaceChildren();
  await list();
  say('Deleted.');
}

function words(video) {
  if (!video.transcript?.isComplete) return null;
  const box = h('div', { class: 'words', lang: video.transcript.language });
  for (const segment of video.transcript.segments) {
    box.append(h('p', {}, segment.words.map((word) => h('button', { type: 'button', 'data-start': word.startSeconds, 'data-end': word.endSeconds,
      title: clock(word.startSeconds), onclick: () => seek(word.startSeconds) }, `${word.text} `))));
  }
  return h('details', { class: 'card' }, h('summary', {}, 'Transcript'), box);
}

function markWord(original) {
  const now = original.currentTime;
  for (const word of document.querySelectorAll('.words button')) {
    word.classList.toggle('now', Number(word.dataset.start) <= now && now < Number(word.dataset.end));
  }
}

function draw(video) {
  const original = video.original && h('video', { class: 'original', controls: true, preload: 'metadata', src: video.original.url,
    'aria-label': `Original of ${video.title}`, ontimeupdate: (event) => markWord(event.target) });
  const facts = video.facts ? `${clock(video.facts.durationSeconds)} · ${video.facts.width ?? '–'}×${video.facts.height ?? '–'}` : '';
  byId('video').replaceChildren(
    h('div', { class: 'card' },
      h('h2', {}, video.title, ' ', h('span', { class: 'pill' }, video.state.toLowerCase())),
      h('p', { class: 'soft' }, facts),
      video.failure && h('p', { class: 'bad' }, video.failure.reason),
      video.explanation && h('p', {}, video.explanation),
      h('div', { class: 'stages' }, STAGES.map((stage) => stageBox(video, stage))),
      original ?? '',
      h('div', { class: 'actions' }, h('button', { type: 'button', onclick: () => attempt(() => remove(video)) }, 'Delete video'))),
    h('div', { class: 'clips' }, video.clips.nodes.map((clip) => clipCard(clip, seek))),
    words(video) ?? '');
}

/** Draws again without stopping what plays: only when no clip of the page is playing. */
async function refresh(id, token) {
  const { video } = await graphql(DETAIL, { id, after: token ?? null });
  if (shown?.id !== id) return;
  if (!video) {
    byId('video').replaceChildren();
    return;
  }
  shown = video;
  document.querySelector(`[data-video="${id}"]`)?.replaceWith(videoButton(video));
  const isPlaying = [...document.querySelectorAll('#video video')].some((player) => !player.paused);
  if (!isPlaying) draw(video);
}

function showProgress({ stage, state, fraction, etaMs, realtimeFactor, detail, failure }) {
  const box = document.querySelector(`[data-stage="${stage}"]`);
  if (!box) return;
  box.querySelector('[data-part=state]').textContent = state.toLowerCase();
  const bar = box.querySelector('progress');
  if (fraction !== null) bar.value = fraction;
  const parts = [detail, etaMs !== null && `${Math.ceil(etaMs / 1000)} s left`, realtimeFactor !== null && `${realtimeFactor.toFixed(1)}× real time`, failure?.reason];
  box.querySelector('[data-part=detail]').textContent = parts.filter(Boolean).join(' · ');
}

function close() {
  watching.forEach((subscription) => subscription.close());
  watching = [];
  shown = null;
}

async function open(id, token) {
  close();
  shown = { id };
  for (const button of document.querySelectorAll('#videos button')) {
    button.setAttribute('aria-current', String(button.parentElement.dataset.video === id));
  }
  await refresh(id, token);
  let timer;
  const later = (seen) => {
    clearTimeout(timer);
    timer = setTimeout(() => attempt(() => refresh(id, seen)), BURST_MS);
  };
  watching = [
    subscribe(PROGRESS, { id }, ({ videoProgress }) => {
      if (videoProgress.isFinal) later(videoProgress.token);
      else showProgress(videoProgress);
    }),
    subscribe(EVENTS, { id }, ({ events }) => SHOWN_EVENTS.includes(events.type) && later(events.token)),
  ];
}

enter().catch((error) => {
  if (error.code === 'UNAUTHENTICATED') showLogin();
  else say(error.message, true);
});
