// What the other parts share: the data, times and durations as text, elements, colours, filters.

const $ = (id) => document.getElementById(id);

const data = JSON.parse($('data').textContent);
const attempts = unpacked(data.attempts);
const events = unpacked(data.events);
attempts.forEach((one, index) => {
  one.index = index;
  one.beginMs = drawn(one.started_at);
  one.endMs = drawn(one.ended_at);
});
events.forEach((one, index) => {
  one.index = index;
  one.ms = one.at ? Date.parse(one.at) : null;
});

/** Return a time in milliseconds; null for none, and for one of a clock that was wrong, as data.py has it. */
function drawn(stamp) {
  const ms = stamp ? Date.parse(stamp) : NaN;
  return ms >= Date.UTC(2000) && ms <= Date.parse(data.generated_at) + 864e5 ? ms : null;
}

/** Turn columns, as page.py packs them, into an array of objects. */
function unpacked({ length, columns }) {
  const rows = Array.from({ length }, () => ({}));
  for (const [name, column] of Object.entries(columns)) {
    const value = Array.isArray(column)
      ? (row) => column[row]
      : (row) => (column.at[row] < 0 ? null : column.values[column.at[row]]);
    for (let row = 0; row < length; row += 1) rows[row][name] = value(row);
  }
  return rows;
}

/**
 * Make an element. Texts among the children become text nodes: nothing that comes from a log is ever
 * parsed as markup.
 */
function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'on') for (const [kind, listener] of Object.entries(value)) made.addEventListener(kind, listener);
    else if (name === 'style') Object.assign(made.style, value);
    else made.setAttribute(name, value === true ? '' : String(value));
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

// Times: in the reader's zone, with UTC at hand.

const dateTime = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium', hourCycle: 'h23' });
const shortTime = new Intl.DateTimeFormat(undefined, {
  month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23',
});
const count = new Intl.NumberFormat();
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

/** What it cost, as a text; null where nothing of it has a price. */
const dollars = (usage) => (usage.cost_usd === null ? null
  : `${usage.cost_is_complete ? '' : 'at least '}$${usage.cost_usd.toFixed(usage.cost_usd < 0.1 ? 4 : 2)}`);

function tokensOf(usage) {
  const cached = usage.cache_read_tokens + usage.cache_write_tokens;
  return `${usage.is_complete ? '' : 'at least '}${short.format(usage.input_tokens)} in, ${short.format(usage.output_tokens)} out`
    + (cached ? `, ${short.format(cached)} cached` : '');
}

/** Return a `time` element; its tooltip says the time in UTC. */
function timeEl(stamp, format = dateTime) {
  if (!stamp) return document.createTextNode('not known');
  return el('time', { datetime: stamp, title: utc(stamp) }, format.format(Date.parse(stamp)));
}

const utc = (stamp) => `${stamp.replace('T', ' ').replace('Z', '')} UTC`;

/** Return seconds as people say them: `8 s`, `12 min`, `1 h 5 min`, `2 d 3 h`. */
function lasting(seconds) {
  if (seconds === null || seconds === undefined) return '–';
  if (seconds < 10) return `${Number(seconds.toFixed(1))}s`;
  const two = (number) => String(Math.floor(number)).padStart(2, '0');
  if (seconds < 60) return `${Math.floor(seconds)}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ${two(seconds % 60)}s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)}h ${two((seconds % 3600) / 60)}m`;
  return `${Math.floor(seconds / 86400)}d ${two((seconds % 86400) / 3600)}h`;
}

const plural = (number, one, many = `${one}s`) => `${count.format(number)} ${number === 1 ? one : many}`;

// Outcomes: in the order of the legend.

const OUTCOMES = {
  completed: 'completed',
  running: 'at work',
  waiting: 'waiting for a person',
  idle: 'idle: its turn is over',
  retried: 'failed, tried again',
  failed: 'failed for good',
  stuck: 'stuck: silent',
  dead: 'dead: its process is gone',
  abandoned: 'given up without an end',
  cancelled: 'cancelled',
  own: 'a person’s own checkout',
};
const TROUBLE = ['waiting', 'dead', 'stuck', 'failed'];
const AT_WORK = ['running', 'waiting', 'idle', 'stuck', 'dead'];

const colours = new Map();

/** Return a colour of the style sheet. Kept, since the charts ask for each bar; `main.js` forgets them. */
function colour(name) {
  if (!colours.has(name)) colours.set(name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
  return colours.get(name);
}

const badge = (outcome) =>
  el('span', { class: `badge ${outcome}` }, el('i', { class: `swatch ${outcome}`, 'aria-hidden': 'true' }), outcome);

// Filters: what the lanes and the table of events show.

const filter = { text: '', agent: '', item: '', type: '', outcome: '' };
const listeners = [];
const onFilter = (listener) => listeners.push(listener);
const isFiltered = () => Object.values(filter).some(Boolean);

/** Change some of the filters and show what fits. */
function setFilter(change) {
  Object.assign(filter, change);
  for (const name of Object.keys(filter)) {
    const input = $(`f-${name}`);
    if (input.value !== filter[name]) input.value = filter[name];
  }
  $('f-reset').disabled = !isFiltered();
  const found = select();
  listeners.forEach((listener) => listener(found));
}

const knownAgents = new Set([...attempts.map((one) => one.who), ...events.map((one) => one.who)].filter(Boolean));
const knownItems = new Set([...attempts.map((one) => one.item_id), ...events.map((one) => one.item_id)].filter(Boolean));

/** A name that exists is meant alone; anything else is a part of names. */
function nameTest(wanted, known) {
  if (!wanted) return () => true;
  if (known.has(wanted)) return (name) => name === wanted;
  const part = wanted.toLowerCase();
  return (name) => name !== null && name !== undefined && name.toLowerCase().includes(part);
}

/** Return the events that fit the filters, and which attempts do, as a set of their numbers. */
function select() {
  const agent = nameTest(filter.agent, knownAgents);
  const item = nameTest(filter.item, knownItems);
  const text = filter.text.toLowerCase();
  const fitting = events.filter((one) =>
    agent(one.who) && item(one.item_id)
    && (!filter.type || one.type === filter.type)
    && (!filter.outcome || (one.attempt_index !== null && attempts[one.attempt_index].outcome === filter.outcome))
    && (!text || words(one).includes(text)));
  const told = new Set(fitting.map((one) => one.attempt_index));
  const chosen = new Set();
  for (const one of attempts) {
    const own = agent(one.who) && item(one.item_id) && (!filter.outcome || one.outcome === filter.outcome);
    // The events of an old attempt may not be listed, its own words are.
    const said = (!filter.type && (!text || attemptWords(one).includes(text))) || told.has(one.index);
    if (own && said) chosen.add(one.index);
  }
  return { events: fitting, attempts: chosen };
}

function words(one) {
  one.words ??= [one.type, one.who, one.item_id, one.session_id, one.text].join('\n').toLowerCase();
  return one.words;
}

function attemptWords(one) {
  one.words ??= [
    one.who, one.agent_id, one.item_id, one.session_id, one.error, one.failure_reason, one.log,
    ...one.commits.flatMap((commit) => [commit.commit, commit.subject]),
  ].join('\n').toLowerCase();
  return one.words;
}
