// Headline numbers, what needs attention, failures, files: plain elements.

const { job, counts } = data;
const ITEM_STATES = [
  ['completed', 'completed'], ['in_progress', 'in progress'], ['pending', 'pending'],
  ['dead', 'in the dead letter queue'], ['failed', 'failed'],
];

function showHead() {
  $('repo').append(`Repository ${job.repo}`);
  $('job').append(job.job_id);
  $('status').append(job.status === 'running' ? `running, ${job.phase}` : job.status);
  $('status').classList.add(job.status);
  $('span').append('Began ', timeEl(job.started_at));
  if (job.ended_at) $('span').append(', ended ', timeEl(job.ended_at));
  $('span').append(' · as of ', timeEl(data.generated_at));
  if (job.error) $('span').append(el('br'), el('span', { class: 'error' }, job.error));
  const { since_at: since, until_at: until, agents, sessions, items } = data.selection;
  const asked = [
    since && ['from ', timeEl(since)], until && ['up to ', timeEl(until)],
    ...Object.entries({ agent: agents, session: sessions, item: items })
      .filter(([, names]) => names).map(([name, names]) => [`${name} `, names.join(', ')]),
  ].filter(Boolean);
  if (asked.length) {
    $('selection').hidden = false;
    $('selection').append('Only what was asked for: ', ...asked.flatMap((part, n) => (n ? ['; ', ...part] : part)),
      '. The states of the items are those of the whole job.');
  }
  $('made').append(`Made by prodigy-git ${data.prodigy_git}, `, timeEl(data.generated_at),
    ` · ${plural(counts.events, 'event')}. The page needs no network and sends nothing.`);
}

function tile(label, value, ...below) {
  return el('div', { class: 'tile' }, el('h3', {}, label), el('p', { class: 'value' }, value),
    el('div', { class: 'quiet' }, ...below));
}

function showNumbers() {
  const total = job.total_items;
  const share = job.percent_done;
  const bar = el('div', { class: 'bar', 'aria-hidden': 'true' }, ITEM_STATES.filter(([name]) => job[name])
    .map(([name]) => el('i', { class: `part ${name}`, style: { flexGrow: job[name] } })));
  const states = el('ul', { class: 'states' }, ITEM_STATES.filter(([name]) => job[name])
    .map(([name, words]) => el('li', {}, el('i', { class: `swatch part ${name}`, 'aria-hidden': 'true' }),
      `${count.format(job[name])} ${words}`)));
  const items = tile('Items', total ? `${count.format(job.completed)} of ${count.format(total)}` : 'none',
    total ? `${share} % done${job.given_up ? `, ${job.percent_over} % over` : ''}` : 'this job was given no items', total ? bar : null, states);
  items.classList.add('wide');
  const at = (name) => counts.outcomes[name] ?? 0;
  const agentsNow = ['waiting', 'running', 'idle', 'stuck', 'dead'].filter(at).map((name) => `${at(name)} ${name === 'running' ? 'at work' : name}`);
  const left = job.total_items - job.completed - job.given_up;
  const rate = job.ended_per_minute === null ? '–' : `${job.ended_per_minute}/min`;
  const end = job.seconds_left === null
    ? (left && job.status === 'running' ? 'no item ended in the last 10 min' : 'items ended, on average')
    : ['about ', lasting(job.seconds_left), ` for ${plural(left, 'item')} left`];
  $('numbers').append(
    items,
    tile('Agents', count.format(counts.agents), agentsNow.join(', ') || 'none at work',
      el('br'), plural(counts.attempts, 'attempt'),
      counts.sessions ? `, ${plural(counts.sessions, 'session')} without an agent` : ''),
    tile('Commits', count.format(counts.commits),
      counts.commits_replaced ? `${count.format(counts.commits_replaced)} replaced since` : 'none replaced'),
    tile('Failures', count.format(counts.failed_attempts),
      `${count.format(at('failed'))} for good, ${count.format(at('retried'))} tried again, ${count.format(counts.retried_well)} well`),
    tile(job.ended_at ? 'Duration' : 'Running for', lasting(job.seconds),
      counts.attempts && data.durations.completed ? `median attempt ${lasting(data.durations.completed.median)}` : ''),
    tile('Rate', rate, end),
    job.usage ? tokens(job.usage) : '',
  );
  if (job.usage) $('numbers').classList.add('more');
}

/** What the transcripts tell; of what they leave out, and of a model without a price, it is said so. */
function tokens(usage) {
  const cost = dollars(usage);
  return tile(cost === null ? 'Tokens' : 'Cost', cost ?? short.format(usage.input_tokens + usage.output_tokens),
    tokensOf(usage), el('br'), usage.models.map((one) => one.model).join(', '));
}

const where = `${job.repo}/${job.job_id}`;
const those = (state) => `prodigy-git status --job ${where} --state ${state}`;
// Who has no item has none to give back, and is in no queue: status says what to do of each.
const KINDS = {
  waiting: ['Waiting for a person', () => 'For a permission, an answer or a prompt.', () => those('waiting')],
  dead: ['Dead', (items) => (items ? 'The process is gone, its item waits.' : 'The process is gone.'),
    (items) => (items ? `prodigy-git resume ${where}` : those('dead'))],
  stuck: ['Stuck', () => `No event for ${lasting(counts.stuck_after_seconds)} or more.`, () => 'prodigy-git top'],
  failed: ['Failed for good', () => 'No attempt is left.',
    (items) => (items ? `prodigy-git dlq list --job ${where}` : those('failed'))],
};

function showTrouble() {
  const groups = TROUBLE.filter((kind) => data.trouble[kind].count).map((kind) => {
    const { count: number, shown } = data.trouble[kind];
    const [title, why, command] = KINDS[kind];
    const items = shown.some((row) => row.item_id !== null);
    return el('div', { class: `group ${kind}` },
      el('h3', {}, el('i', { class: `swatch ${kind}`, 'aria-hidden': 'true' }), `${title} `, el('b', {}, count.format(number))),
      el('p', { class: 'quiet' }, why(items), el('br'), el('code', {}, command(items))),
      el('ul', { class: 'rows' }, shown.map((row) => troubleRow(row, kind))),
      shown.length < number ? el('p', { class: 'quiet' }, `The ${kind === 'waiting' ? 'first' : 'latest'} ${shown.length} of ${count.format(number)}.`) : null);
  });
  const lost = data.trouble.given_up_without_attempt;
  if (lost.count) {
    groups.push(el('p', { class: 'quiet' }, `${plural(lost.count, 'item')} given up of which the log has no attempt: `,
      lost.shown.slice(0, 10).join(', '), lost.count > 10 ? ' …' : ''));
  }
  if (!groups.length) {
    groups.push(el('p', { class: 'empty' }, attempts.length
      ? 'Nothing: no agent waits, is dead or stuck, and no item was given up.' : 'No agent has begun.'));
  }
  $('trouble').append(...groups);
}

function troubleRow(row, kind) {
  const inside = [
    el('b', {}, row.who), el('span', {}, row.item_id ?? ''),
    el('span', { class: 'quiet when' }, row.last_event_at ? [kind === 'failed' ? '' : 'last seen ', timeEl(row.last_event_at, shortTime)] : 'no time known'),
    row.note ?? row.error ? el('span', { class: 'what' }, (row.note ?? row.error).split('\n')[0]) : null,
  ];
  return el('li', {}, row.attempt_index === null
    ? el('span', { class: 'row' }, inside)
    : el('button', { type: 'button', class: 'row', on: { click: () => openAttempt(attempts[row.attempt_index]) } }, inside));
}

const filterLink = (name, value) => el('button', {
  type: 'button', class: 'link', title: `Show only ${value}`,
  on: { click: () => { setFilter({ [name]: value }); $('filters').scrollIntoView(); } },
}, value);

const NAMES_SHOWN = 6;

function names(which, all, number) {
  const values = all.slice(0, NAMES_SHOWN);
  const last = values.length - 1;
  const linked = values.map((value, n) => el('span', {}, filterLink(which, value), n < last ? ', ' : ''));
  return el('span', { class: 'names' }, linked, number > values.length ? ` and ${count.format(number - values.length)} more` : '');
}

function plainTable(headings, rows) {
  return el('div', { class: 'scroll', tabindex: '0', role: 'group', 'aria-label': headings.join(', ') },
    el('table', {}, el('thead', {}, el('tr', {}, headings.map((text, n) => el('th', { scope: 'col', class: n ? '' : 'number' }, text)))),
      el('tbody', {}, rows)));
}

function showFailures() {
  const { count: number, shown } = data.failures;
  if (!shown.length) {
    $('failures').append(el('p', { class: 'empty' }, 'No attempt has failed.'));
    return;
  }
  $('failures').append(plainTable(['Times', 'What', 'Items'], shown.map((row) => el('tr', {},
    el('td', { class: 'number' }, el('b', {}, count.format(row.count)), el('br'),
      el('span', { class: 'quiet' }, row.for_good ? `${count.format(row.for_good)} for good` : 'all tried again')),
    el('td', {}, el('code', { class: 'signature' }, row.error_signature),
      row.example && row.example !== row.error_signature ? el('p', { class: 'quiet example' }, `e.g. ${row.example.split('\n')[0]}`) : null,
      el('p', { class: 'quiet' }, plural(row.agent_count, 'agent'), row.last_at ? [', last ', timeEl(row.last_at, shortTime)] : '')),
    el('td', {}, names('item', row.item_ids, row.item_count))))));
  if (shown.length < number) $('failures').append(el('p', { class: 'quiet' }, `The ${shown.length} most frequent of ${number}.`));
}

function showFiles() {
  const { unknown, count: number, commits, missing, shown } = data.files;
  if (unknown) {
    $('files').append(el('p', { class: 'empty' }, `Not known here: ${unknown}.`));
    return;
  }
  const about = `${plural(commits - missing, 'commit')} looked at${missing ? `, ${count.format(missing)} that git no longer has` : ''}.`;
  if (!shown.length) {
    $('files').append(el('p', { class: 'empty' }, commits - missing > 0 ? 'No file was changed for more than one item that is not merged.' : 'There are no commits to compare.'),
      el('p', { class: 'quiet' }, about));
    return;
  }
  $('files').append(plainTable(['Items', 'File', 'Which'], shown.map((row) => el('tr', {},
    el('td', { class: 'number' }, el('b', {}, count.format(row.item_count)), el('br'),
      el('span', { class: 'quiet' }, row.working ? `${count.format(row.working)} not done` : plural(row.commits, 'commit'))),
    el('td', {}, el('code', {}, row.path)),
    el('td', {}, names('item', row.items, row.item_count))))),
  el('p', { class: 'quiet' }, `Merges of these can conflict. ${about}${shown.length < number ? ` The first ${shown.length} of ${number} files.` : ''}`));
}

/** Return files in conflict as elements: each path, and the kinds of conflict. */
function conflictFiles(files) {
  return files.flatMap((file, at) => [at ? ', ' : '', el('code', {}, file.path), ` (${file.kinds.join(', ')})`]);
}

function showMerging() {
  const { unknown, target_branch: into, results, conflicts, order, not_in_order: left } = data.merging;
  if (unknown) {
    $('merging').append(el('p', { class: 'empty' }, `Not known here: ${unknown}.`));
    return;
  }
  if (!results.length) {
    $('merging').append(el('p', { class: 'empty' }, 'There are no results to merge.'));
    return;
  }
  const many = (state) => results.filter((one) => one.state === state).length;
  const others = ['merged', 'empty', 'unrelated', 'unknown', 'gone'].filter(many).map((state) => `${count.format(many(state))} ${state}`);
  $('merging').append(el('p', {}, `${count.format(order.length)} of ${plural(order.length + left.length, 'result')} merge into `,
    el('code', {}, into), order.length ? ', in this order: ' : '', order.join(', '), others.length ? `. Besides: ${others.join(', ')}.` : '.'));
  if (left.length) {
    $('merging').append(plainTable(['Left out', 'Conflicts with', 'In'], left.map((one) => el('tr', {},
      el('td', {}, one.name),
      el('td', {}, [...(one.with_target ? [into] : []), ...one.with_results].join(', ') || 'what others make together'),
      el('td', {}, one.not_known || conflictFiles(one.files))))));
  }
  const shown = conflicts.slice(0, 200);
  if (shown.length) {
    $('merging').append(plainTable(['Two that conflict', 'In'], shown.map((one) => el('tr', {},
      el('td', {}, `${one.one}, ${one.other}`),
      el('td', {}, one.not_known || conflictFiles(one.files))))));
  }
  if (shown.length < conflicts.length) $('merging').append(el('p', { class: 'quiet' }, `The first ${shown.length} of ${count.format(conflicts.length)} pairs.`));
}
