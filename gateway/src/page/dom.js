// Small helpers for building the page. Text always goes in as text, never as HTML.

/** Returns an element. Attributes that start with `on` are listeners; `true` and `false` set and leave out an attribute. */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, '');
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Returns seconds as `m:ss`, or `h:mm:ss` from one hour on. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const rest = String(whole % 60).padStart(2, '0');
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, '0')}:${rest}` : `${minutes}:${rest}`;
}

/** Tells everybody, also those who listen to the page, what happened. */
export function say(text, isBad = false) {
  const status = byId('status');
  status.textContent = text;
  status.classList.toggle('bad', isBad);
}

/** Runs `work` and says what went wrong. */
export async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    say(error.message, true);
    if (error.code === 'UNAUTHENTICATED') document.dispatchEvent(new Event('logged-out'));
    return undefined;
  }
}

/** Asks for one line of text; returns null when it was cancelled. */
export function ask(question, action) {
  return new Promise((resolve) => {
    const input = h('textarea', { id: 'answer', required: true, maxlength: 500, rows: 3 });
    const dialog = h('dialog', { 'aria-labelledby': 'question' },
      h('form', { method: 'dialog' },
        h('label', { id: 'question', for: 'answer' }, question),
        input,
        h('div', { class: 'actions' },
          h('button', { type: 'submit', class: 'primary', value: 'ok' }, action),
          h('button', { type: 'button', onclick: () => dialog.close('') }, 'Cancel'))));
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue === 'ok' && input.value.trim() ? input.value.trim() : null);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
