// The panel at the side: all there is to say of an attempt or an event.

let cameFrom = null;

function openPanel(title, ...content) {
  const panel = $('details');
  if (panel.hidden) cameFrom = document.activeElement.closest('#events-table tbody') ? 'events' : document.activeElement;
  panel.replaceChildren(
    el('div', { class: 'card-head' }, el('h2', { id: 'details-title' }, title),
      el('button', { type: 'button', class: 'button', 'aria-label': 'Close the details', on: { click: closePanel } }, 'Close')),
    ...content.flat().filter(Boolean));
  panel.hidden = false;
  panel.scrollTop = 0;
  panel.focus({ preventScroll: true });
}

function closePanel() {
  $('details').hidden = true;
  // Back to where the reader was, so that the keyboard goes on from there.
  // A row of the table may have been made anew meanwhile.
  if (cameFrom === 'events') focusRow();
  else if (cameFrom && cameFrom.isConnected) cameFrom.focus({ preventScroll: true });
  cameFrom = null;
}

document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && !$('details').hidden) closePanel();
});

/** A list of what there is; pairs without a value are left out. */
function facts(pairs) {
  return el('dl', {}, pairs.filter(([, value]) => value !== null && value !== undefined && value !== '')
    .flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, value)]));
}

const code = (text) => (text ? el('code', {}, text) : null);

function openAttempt(one) {
  const commits = el('ol', { class: 'commits' }, one.commits.map(commitRow));
  const more = one.commit_count > one.commits.length ? `, the last ${one.commits.length} of ${count.format(one.commit_count)}` : '';
  openPanel([el('span', {}, one.who), one.item_id && one.item_id !== one.who ? ` on ${one.item_id}` : ''],
    el('p', {}, el('b', { class: 'badge' }, el('i', { class: `swatch ${one.outcome}`, 'aria-hidden': 'true' }), OUTCOMES[one.outcome]), one.late ? ', late: somebody else had the item' : ''),
    facts([
      ['Attempt', one.attempt === null ? null : String(one.attempt)],
      ['Item', one.item_id && filterLink('item', one.item_id)],
      ['Agent', one.agent_id && (one.agent_id === one.who ? filterLink('agent', one.who) : one.agent_id)],
      ['Session', code(one.session_id)],
      ['Host', one.host],
      ['Began', timeEl(one.started_at)],
      ['Ended', one.ended_at ? timeEl(one.ended_at) : 'not yet'],
      ['Took', one.seconds === null ? null : lasting(one.seconds)],
      ['Last event', one.last_event_at && timeEl(one.last_event_at)],
      ['Reason', one.failure_reason],
      ['Alike', code(one.error_signature)],
      ['Session took', one.usage && [tokensOf(one.usage), dollars(one.usage)].filter(Boolean).join(', ')],
      ['Models', one.usage && one.usage.models.map((each) => each.model).join(', ')],
      ['Log', code(one.log)],
      ['Read it', one.session_id && code(`prodigy-git logs ${quoted(one.session_id)}`)],
    ]),
    one.error ? [el('h3', {}, 'Error'), el('pre', {}, one.error)] : null,
    el('h3', {}, `Commits${more}`), one.commits.length ? commits : el('p', { class: 'quiet' }, 'None.'),
    el('h3', {}, 'Its events'),
    el('p', { class: 'command' }, el('code', {}, `prodigy-git events ls --job ${job.repo}/${job.job_id}`
      + (one.agent_id ? ` --agent ${quoted(one.agent_id)}` : one.session_id ? ` --session ${quoted(one.session_id)}` : ''))));
}

/** A name for a shell; what is no plain name is quoted. */
const quoted = (name) => (/^[\w.-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`);

function commitRow(commit) {
  return el('li', { class: commit.replaced_by ? 'replaced' : '' },
    el('code', {}, commit.commit.slice(0, 10)), ' ', el('span', { class: 'subject' }, commit.subject || 'no subject known'),
    el('p', { class: 'quiet' }, commit.action === 'commit' ? '' : `${commit.action}, `, commit.at ? timeEl(commit.at) : 'no time known',
      commit.replaced_by ? [', replaced by ', el('code', {}, commit.replaced_by.slice(0, 10))] : ''));
}

function openEvent(one) {
  const attempt = one.attempt_index === null ? null : attempts[one.attempt_index];
  openPanel(one.type,
    facts([
      ['Time', one.at ? timeEl(one.at) : 'none that can be read'],
      ['UTC', one.at && utc(one.at)],
      ['Agent', one.who && filterLink('agent', one.who)],
      ['Item', one.item_id && filterLink('item', one.item_id)],
      ['Session', code(one.session_id)],
    ]),
    one.text ? el('pre', {}, one.text) : null,
    attempt ? el('p', {}, el('button', { type: 'button', class: 'button', on: { click: () => openAttempt(attempt) } },
      'The attempt it belongs to'), ' ', badge(attempt.outcome)) : null);
}
