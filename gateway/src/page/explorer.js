// A small GraphQL explorer without anything from elsewhere: write a query, run it or watch it, read the schema.

import { graphql, subscribe } from '/assets/api.js';
import { attempt, byId, say } from '/assets/dom.js';

const FIRST = `# Log in on the page first.
{
  videos(first: 5) {
    nodes {
      id title state
      clips(first: 3) { nodes { rank score title reasons { text atSeconds } } }
    }
  }
}`;

const TYPE = 'name kind ofType { name kind ofType { name kind ofType { name kind ofType { name kind } } } }';
const SCHEMA = `{ __schema { types { name kind description
  fields { name description args { name type { ${TYPE} } } type { ${TYPE} } }
  inputFields { name description type { ${TYPE} } }
  enumValues { name description } } } }`;

const LAST_QUERY = 'clipflow:query';
let watching = null;

function shownType(type) {
  if (type.kind === 'NON_NULL') return `${shownType(type.ofType)}!`;
  if (type.kind === 'LIST') return `[${shownType(type.ofType)}]`;
  return type.name;
}

function shownField(field) {
  const about = field.description ? `  # ${field.description.replaceAll('\n', ' ')}\n` : '';
  const parameters = field.args?.length ? `(${field.args.map((found) => `${found.name}: ${shownType(found.type)}`).join(', ')})` : '';
  return `${about}  ${field.name}${parameters}${field.type ? `: ${shownType(field.type)}` : ''}`;
}

function shownSchema(types) {
  const wanted = types.filter((type) => !type.name.startsWith('__') && type.kind !== 'SCALAR');
  return wanted.map((type) => {
    const members = [...(type.fields ?? []), ...(type.inputFields ?? []), ...(type.enumValues ?? [])];
    const about = type.description ? `# ${type.description.replaceAll('\n', ' ')}\n` : '';
    return `${about}${type.kind.toLowerCase()} ${type.name} {\n${members.map(shownField).join('\n')}\n}`;
  });
}

function stop() {
  watching?.close();
  watching = null;
  byId('stop').hidden = true;
}

async function run() {
  stop();
  const query = byId('query').value;
  localStorage.setItem(LAST_QUERY, query);
  const variables = JSON.parse(byId('variables').value || '{}');
  const answer = byId('answer');
  say('Running…');
  if (/^\s*(#.*\n\s*)*subscription\b/.test(query)) {
    answer.textContent = '';
    byId('stop').hidden = false;
    watching = subscribe(query, variables, (data) => { answer.textContent += `${JSON.stringify(data, null, 2)}\n`; }, () => say('Ended.'));
    return;
  }
  answer.textContent = JSON.stringify(await graphql(query, variables), null, 2);
  say('');
}

byId('query').value = localStorage.getItem(LAST_QUERY) ?? FIRST;
byId('form').addEventListener('submit', (event) => {
  event.preventDefault();
  attempt(run);
});
byId('form').addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) attempt(run);
});
byId('stop').addEventListener('click', stop);

attempt(async () => {
  const types = shownSchema((await graphql(SCHEMA)).__schema.types);
  const draw = () => {
    const wanted = byId('find').value.toLowerCase();
    byId('schema').textContent = types.filter((text) => text.toLowerCase().includes(wanted)).join('\n\n');
  };
  byId('find').addEventListener('input', draw);
  draw();
});
