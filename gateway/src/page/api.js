// Everything that talks to the server: GraphQL, subscriptions, uploads, sessions.

/** A custom header is what a foreign page cannot send: it goes with everything that changes something. */
const OURS = { 'x-clipflow-request': 'page' };

/** Bytes of one request of an upload: little is sent again after a cut, and a progress bar moves. */
const CHUNK_BYTES = 8 * 1024 * 1024;

/** Tries in a row of an upload that gets nowhere. */
const TRIES_MAX = 8;

export class ApiError extends Error {
  constructor(message, code) {
    super(message);
    this.code = code;
  }
}

async function refused(response) {
  const body = await response.json().catch(() => ({}));
  const error = body.errors?.[0];
  return new ApiError(error?.message ?? `the server answered ${response.status}`, error?.extensions?.code);
}

/** Returns the data of a query or mutation. */
export async function graphql(query, variables = {}) {
  const response = await fetch('/graphql', {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json', ...OURS },
    body: JSON.stringify({ query, variables }),
  });
  if (!response.ok) throw await refused(response);
  const { data, errors } = await response.json();
  if (errors?.length) throw new ApiError(errors[0].message, errors[0].extensions?.code);
  return data;
}

export async function login(key) {
  const response = await fetch('/login', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ key }),
  });
  if (!response.ok) throw await refused(response);
}

export const logout = () => fetch('/logout', { method: 'POST', headers: OURS });

/** Watches a subscription until `close` is called on what it returns. It connects again after a cut. */
export function subscribe(query, variables, next, ended = () => {}) {
  let socket;
  let wait = 500;
  let isClosed = false;
  const connect = () => {
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    socket = new WebSocket(`${scheme}://${location.host}/graphql/ws`, 'graphql-transport-ws');
    socket.onopen = () => socket.send(JSON.stringify({ type: 'connection_init' }));
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.type === 'connection_ack') {
        wait = 500;
        socket.send(JSON.stringify({ type: 'subscribe', id: '1', payload: { query, variables } }));
      } else if (message.type === 'ping') {
        socket.send(JSON.stringify({ type: 'pong' }));
      } else if (message.type === 'next' && message.payload.data) {
        next(message.payload.data);
      } else if (message.type === 'complete' || message.type === 'error') {
        isClosed = true;
        socket.close();
        ended();
      }
    };
    socket.onclose = () => {
      if (isClosed) return;
      setTimeout(() => !isClosed && connect(), wait);
      wait = Math.min(wait * 2, 15000);
    };
  };
  connect();
  return {
    close() {
      isClosed = true;
      socket.close();
    },
  };
}

const TUS = { 'tus-resumable': '1.0.0', ...OURS };

const fingerprint = (file) => `upload:${file.name}:${file.size}:${file.lastModified}`;

async function offsetOf(url) {
  const response = await fetch(url, { method: 'HEAD', headers: TUS });
  return response.ok ? Number(response.headers.get('upload-offset')) : null;
}

async function createUpload(file) {
  const name = btoa(String.fromCharCode(...new TextEncoder().encode(file.name)));
  const response = await fetch('/files', {
    method: 'POST',
    headers: { ...TUS, 'upload-length': String(file.size), 'upload-metadata': `filename ${name}` },
  });
  if (!response.ok) throw await refused(response);
  return new URL(response.headers.get('location'), location.href).pathname;
}

function patch(url, offset, bytes, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('PATCH', url);
    for (const [name, value] of Object.entries(TUS)) request.setRequestHeader(name, value);
    request.setRequestHeader('content-type', 'application/offset+octet-stream');
    request.setRequestHeader('upload-offset', String(offset));
    request.upload.onprogress = (event) => progress(offset + event.loaded);
    request.onload = () => (request.status === 204 ? resolve(Number(request.getResponseHeader('upload-offset'))) : resolve(null));
    request.onerror = () => reject(new Error('the connection was cut'));
    request.send(bytes);
  });
}

/** Sends a file by tus, going on where an earlier try was cut off, and returns its upload id. `progress` gets parts from 0 to 1. */
export async function upload(file, progress) {
  const remembered = fingerprint(file);
  let url = localStorage.getItem(remembered);
  let offset = url ? await offsetOf(url).catch(() => null) : null;
  if (offset === null) {
    url = await createUpload(file);
    localStorage.setItem(remembered, url);
    offset = 0;
  }
  let tries = 0;
  while (offset < file.size) {
    const bytes = file.slice(offset, offset + CHUNK_BYTES);
    const reached = await patch(url, offset, bytes, (sent) => progress(sent / file.size)).catch(() => null);
    const now = reached ?? (await offsetOf(url).catch(() => null));
    tries = now > offset ? 0 : tries + 1;
    if (tries >= TRIES_MAX) throw new ApiError('the upload does not get through; choose the file again to go on with it', 'CUT_OFF');
    if (now === null || now === offset) await new Promise((resolve) => setTimeout(resolve, 500 * 2 ** tries));
    offset = now ?? offset;
    progress(offset / file.size);
  }
  localStorage.removeItem(remembered);
  return url.split('/').pop();
}
