// One clip: the player, why it was chosen, and what an editor can do with it.

import { graphql } from '/assets/api.js';
import { ask, attempt, clock, h, say } from '/assets/dom.js';

export const CLIP_FIELDS = `
  id rank score title keywords style verdict rejection
  span { startSeconds endSeconds }
  reasons { text feature atSeconds }
  contributions { feature group value percentile effect at { startSeconds } }
  renditions { ratio state isCurrent durationSeconds file { url } poster { url } vtt { url } srt { url } decisions { url } failure { reason } }`;

const RATIOS = { PORTRAIT: '9:16', TALL: '4:5', SQUARE: '1:1', LANDSCAPE: '16:9' };
const STYLES = ['KARAOKE', 'BLOCK', 'CLEAN'];
const STRONGEST = 8;

/** Runs a mutation of a clip and returns the clip as it is after it. */
async function change(name, parameters, variables) {
  const declared = Object.entries(parameters).map(([key, type]) => `, $${key}: ${type}`).join('');
  const passed = Object.keys(parameters).map((key) => `, ${key}: $${key}`).join('');
  const data = await graphql(`mutation($id: ID!${declared}) { ${name}(id: $id${passed}) { token clip { ${CLIP_FIELDS} } } }`, variables);
  return data[name].clip;
}

function player(clip) {
  const rendition = clip.renditions.find((found) => found.file);
  if (!rendition) {
    const failed = clip.renditions.find((found) => found.failure);
    return h('p', { class: failed ? 'bad' : 'soft' }, failed ? failed.failure.reason : 'Being rendered…');
  }
  return h('div', {},
    h('video', { controls: true, preload: 'none', playsinline: true, poster: rendition.poster.url, src: rendition.file.url,
      'aria-label': `Clip ${clip.rank}: ${clip.title}` }),
    h('p', { class: 'soft' },
      `${RATIOS[rendition.ratio]} · ${rendition.durationSeconds.toFixed(1)} s`,
      rendition.isCurrent ? '' : ' · older than the last edit',
      ' · ', h('a', { href: rendition.file.url, download: `clip-${clip.rank}.mp4` }, 'MP4'),
      ' · ', h('a', { href: rendition.srt.url, download: `clip-${clip.rank}.srt` }, 'SRT'),
      ' · ', h('a', { href: rendition.decisions.url, download: `clip-${clip.rank}.json` }, 'decisions')));
}

function reasons(clip, seek) {
  return h('ul', {}, clip.reasons.map((reason) => h('li', {},
    h('button', { type: 'button', class: 'time', title: 'Show this moment in the original', onclick: () => seek(reason.atSeconds) },
      reason.text))));
}

function contributions(clip, seek) {
  const strongest = clip.contributions.slice(0, STRONGEST);
  const most = Math.max(...strongest.map((found) => Math.abs(found.effect)), 1e-9);
  const rows = strongest.flatMap((found) => {
    const bar = h('i', { class: found.effect >= 0 ? 'plus' : 'minus' });
    bar.style.width = `${(50 * Math.abs(found.effect)) / most}%`;
    return [
      h('button', { type: 'button', class: 'time', onclick: () => seek(found.at.startSeconds) }, found.feature.replaceAll('_', ' ')),
      h('span', { class: 'track', 'aria-hidden': 'true' }, bar),
      h('span', {}, `${found.effect >= 0 ? '+' : '−'}${Math.abs(found.effect).toFixed(2)}`),
    ];
  });
  return h('details', {}, h('summary', {}, 'What the ranker weighed'), h('div', { class: 'bars' }, rows));
}

function actions(clip, redraw) {
  const act = (done, work) => () => attempt(async () => {
    redraw(await work());
    say(done);
  });
  const start = h('input', { type: 'number', step: '0.1', min: '0', value: clip.span.startSeconds.toFixed(1), 'aria-label': 'In point in seconds' });
  const end = h('input', { type: 'number', step: '0.1', min: '0', value: clip.span.endSeconds.toFixed(1), 'aria-label': 'Out point in seconds' });
  const style = h('select', { 'aria-label': 'Caption style', onchange: () => act('Captions changed.', () => change('restyleClip',
    { style: 'CaptionStyle!' }, { id: clip.id, style: style.value }))() },
    STYLES.map((name) => h('option', { value: name, selected: name === clip.style }, name.toLowerCase())));
  style.style.width = 'auto';
  const ratio = h('select', { 'aria-label': 'Aspect ratio to render' }, Object.entries(RATIOS).map(([name, text]) => h('option', { value: name }, text)));
  ratio.style.width = 'auto';
  const reject = async () => {
    const reason = await ask('Why is this clip no good? The ranker learns from it.', 'Reject');
    return reason === null ? clip : change('rejectClip', { reason: 'String!' }, { id: clip.id, reason });
  };
  const isRejected = clip.verdict === 'REJECTED';
  return h('div', {},
    h('div', { class: 'actions' },
      h('button', { type: 'button', class: 'primary', disabled: clip.verdict !== 'OPEN', onclick: act('Accepted.', () => change('acceptClip', {}, { id: clip.id })) }, 'Accept'),
      h('button', { type: 'button', disabled: clip.verdict !== 'OPEN', onclick: act('Done.', reject) }, 'Reject…')),
    !isRejected && h('div', { class: 'actions' }, start, end,
      h('button', { type: 'button', onclick: act('Trimmed. Render it to see it.', () => change('retrimClip',
        { startSeconds: 'Float!', endSeconds: 'Float!' }, { id: clip.id, startSeconds: start.valueAsNumber, endSeconds: end.valueAsNumber })) }, 'Trim'),
      style, ratio,
      h('button', { type: 'button', onclick: act('Rendering.', () => change('renderClip',
        { ratio: 'Ratio!' }, { id: clip.id, ratio: ratio.value })) }, 'Render')));
}

function history(clip) {
  const list = h('ol', { class: 'history' });
  const load = async () => {
    const data = await graphql(`query($id: ID!) { history(id: $id, first: 100) { nodes { id type at actor cause { type } } } }`, { id: clip.id });
    list.replaceChildren(...data.history.nodes.map((event) => h('li', {},
      `${new Date(event.at).toLocaleString()} · ${event.type} · ${event.actor}`, event.cause ? ` · because of ${event.cause.type}` : '')));
  };
  return h('details', { ontoggle: (event) => event.target.open && attempt(load) }, h('summary', {}, 'History'), list);
}

/** Returns the card of a clip; `seek` shows a moment of the original. */
export function clipCard(clip, seek) {
  const card = h('article', { class: 'card clip', 'aria-label': `Clip ${clip.rank}: ${clip.title}`, 'data-clip': clip.id });
  const redraw = (changed) => card.replaceWith(clipCard(changed, seek));
  const verdict = { OPEN: '', ACCEPTED: 'accepted', REJECTED: `rejected: ${clip.rejection}` }[clip.verdict];
  card.append(
    player(clip),
    h('div', {},
      h('h3', {}, h('span', { class: 'score', title: 'Score within this video, 0 to 100' }, clip.score.toFixed(0)), ' ', clip.title),
      h('p', { class: 'soft' },
        h('button', { type: 'button', class: 'time', onclick: () => seek(clip.span.startSeconds) },
          `${clock(clip.span.startSeconds)}–${clock(clip.span.endSeconds)}`),
        clip.keywords.length > 0 && ` · ${clip.keywords.join(', ')}`,
        verdict && ` · ${verdict}`),
      reasons(clip, seek), contributions(clip, seek), actions(clip, redraw), history(clip)));
  return card;
}
