// A lane for each agent: its attempts as bars, its commits as ticks. Only the lanes in sight are given
// to the chart, so that 5,000 agents scroll as 50 do; the page's own scrolling decides which those are.

const LANE = 24;
const HEAD = 26;
const FOOT = 34;
const IN_SIGHT = 22;
const ON_PAPER = 60;
const RANK = {
  waiting: 0, dead: 1, stuck: 2, failed: 3, running: 4, idle: 5, retried: 6, abandoned: 7, completed: 8, cancelled: 9, own: 10,
};

const lanes = {
  all: [], shown: [], chosen: null, first: 0, selected: null, paper: false, drawn: false,
  chart: null, rows: [[], []], from: 0, to: 0,
};

function groupByAgent() {
  const byAgent = new Map();
  for (const one of attempts) {
    if (!byAgent.has(one.who)) byAgent.set(one.who, { name: one.who, attempts: [], rank: 11, begin: Infinity });
    const lane = byAgent.get(one.who);
    const at = one.beginMs ?? one.endMs;
    if (at === null) continue;
    lane.attempts.push(one);
    lane.begin = Math.min(lane.begin, at);
    // How the agent stands is how its last attempt does.
    lane.rank = RANK[one.outcome];
    lane.outcome = one.outcome;
  }
  lanes.all = [...byAgent.values()].filter((lane) => lane.attempts.length);
}

const ORDERS = {
  begin: (a, b) => a.begin - b.begin || a.name.localeCompare(b.name, undefined, { numeric: true }),
  trouble: (a, b) => a.rank - b.rank || ORDERS.begin(a, b),
  name: (a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }),
};

/** When an attempt is drawn from and to, in milliseconds: one under way up to now. */
function stretch(one) {
  const begin = one.beginMs ?? one.endMs;
  const open = AT_WORK.includes(one.outcome);
  return [begin, one.endMs ?? (open ? Math.max(begin, lanes.to) : begin)];
}

function showLanes() {
  groupByAgent();
  const undated = attempts.filter((one) => one.beginMs === null && one.endMs === null).length;
  if (!lanes.all.length) {
    $('lanes-scroll').hidden = true;
    $('lanes-help').hidden = true;
    $('lanes-empty').hidden = false;
    $('lanes-empty').append(undated ? `${plural(undated, 'attempt')} without a time: there is nothing to draw.` : 'No agent has begun.');
    return;
  }
  const times = attempts.flatMap((one) => [one.beginMs, one.endMs, drawn(one.last_event_at)]).filter((at) => at !== null);
  lanes.from = times.reduce((a, b) => Math.min(a, b));
  lanes.to = times.reduce((a, b) => Math.max(a, b));
  const open = attempts.some((one) => AT_WORK.includes(one.outcome));
  const over = data.over_time && Date.parse(data.over_time.start_at) + data.over_time.done.length * data.over_time.step_seconds * 1000;
  if (open && over) lanes.to = Math.max(lanes.to, Math.min(over, Date.parse(data.generated_at)));
  if (lanes.to === lanes.from) lanes.to += 1000;
  const notes = [
    undated ? `${plural(undated, 'attempt')} without a time not drawn.` : '',
    counts.attempts_shown < counts.attempts + counts.sessions ? `The newest ${count.format(counts.attempts_shown)} of ${count.format(counts.attempts + counts.sessions)} attempts.` : '',
  ].filter(Boolean).join(' ');
  if (notes) $('lanes-help').prepend(`${notes} `);
  showLegend();
  lanes.chart = chart($('lanes'), () => laneOption(), true);
  lanes.chart.on('click', ({ data: row }) => { if (row) { choose(attempts[row.attempt]); openAttempt(attempts[row.attempt]); } });
  $('lanes-scroll').addEventListener('scroll', scrolled, { passive: true });
  $('lanes-scroll').addEventListener('keydown', laneKeys);
  $('lane-order').addEventListener('change', () => { orderLanes(); $('lanes-scroll').scrollTop = 0; drawLanes(); });
  $('zoom-in').addEventListener('click', () => zoom(0.5));
  $('zoom-out').addEventListener('click', () => zoom(2));
  $('zoom-all').addEventListener('click', () => zoom(Infinity));
  orderLanes();
  onFilter((found) => { lanes.chosen = isFiltered() ? found.attempts : null; orderLanes(); drawLanes(); });
}

function showLegend() {
  const present = Object.keys(OUTCOMES).filter((name) => counts.outcomes[name]);
  $('legend').append(...present.map((name) => el('li', {}, el('i', { class: `swatch ${name}`, 'aria-hidden': 'true' }),
    `${OUTCOMES[name]} `, el('span', { class: 'quiet' }, count.format(counts.outcomes[name])))),
  el('li', {}, el('i', { class: 'tick', 'aria-hidden': 'true' }), 'commit'));
}

function orderLanes() {
  const fits = (lane) => !lanes.chosen || lane.attempts.some((one) => lanes.chosen.has(one.index));
  lanes.shown = lanes.all.filter(fits).sort(ORDERS[$('lane-order').value]);
  if (lanes.selected && !lanes.shown.some((lane) => lane.name === lanes.selected.who)) lanes.selected = null;
}

const inSight = () => Math.min(lanes.shown.length, lanes.paper ? ON_PAPER : IN_SIGHT);

/** Fit the chart to its lanes, and draw those in sight. */
function drawLanes() {
  const none = !lanes.shown.length;
  $('lanes-scroll').hidden = none;
  $('lanes-empty').hidden = !none;
  $('lanes-empty').textContent = 'No agent fits these filters.';
  if (none) return;
  const height = HEAD + FOOT + Math.max(1, inSight()) * LANE;
  $('lanes-scroll').style.height = `${height}px`;
  $('lanes').style.height = `${height}px`;
  $('lanes-spacer').style.height = `${height + (lanes.shown.length - inSight()) * LANE}px`;
  lanes.first = firstInSight();
  lanes.chart.resize();
  lanes.chart.setOption(laneOption(lanes.drawn));
  lanes.drawn = true;
}

const firstInSight = () => Math.max(0, Math.min(lanes.shown.length - inSight(), Math.round($('lanes-scroll').scrollTop / LANE)));

let waiting = false;
function scrolled() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    if (firstInSight() !== lanes.first) {
      lanes.first = firstInSight();
      lanes.chart.setOption(laneOption(true));
    }
  });
}

/** The chart's option; `rowsOnly` leaves the zoom as it is. */
function laneOption(rowsOnly = false) {
  const visible = lanes.shown.slice(lanes.first, lanes.first + inSight());
  const bars = [];
  const ticks = [];
  visible.forEach((lane, place) => {
    for (const one of lane.attempts) {
      const faint = lanes.chosen !== null && !lanes.chosen.has(one.index);
      bars.push({ value: [place, ...stretch(one)], attempt: one.index, faint });
      one.commits.forEach((commit, n) => {
        if (drawn(commit.at)) ticks.push({ value: [place, Date.parse(commit.at)], attempt: one.index, commit: n, faint });
      });
    }
  });
  lanes.rows = [bars, ticks];
  const narrow = $('lanes').clientWidth < 560;
  const shared = {
    yAxis: {
      type: 'category', inverse: true, data: visible.map((lane) => lane.name), ...axisLines(), splitLine: { show: false },
      axisLabel: {
        ...axisText(), width: narrow ? 84 : 136, overflow: 'truncate', interval: 0,
        color: (_, index) => (TROUBLE.includes(visible[index]?.outcome) ? colour(`${visible[index].outcome}-text`) : colour('text')),
      },
      triggerEvent: false,
    },
    series: [
      { id: 'attempts', type: 'custom', renderItem: drawBar, data: bars, encode: { x: [1, 2], y: 0 }, clip: true },
      { id: 'commits', type: 'custom', renderItem: drawTick, data: ticks, encode: { x: 1, y: 0 }, clip: true, z: 3 },
    ],
  };
  if (rowsOnly) return shared;
  return {
    animation: false,
    grid: { left: narrow ? 96 : 150, right: 16, top: HEAD, bottom: FOOT },
    tooltip: tooltip(laneTip, { trigger: 'item' }),
    xAxis: timeAxis({ position: 'top', min: lanes.from, max: lanes.to }),
    dataZoom: [
      { id: 'inside', type: 'inside', xAxisIndex: 0, zoomOnMouseWheel: 'ctrl', filterMode: 'none', preventDefaultMouseMove: false },
      slider({ id: 'slider', xAxisIndex: 0, left: narrow ? 96 : 150, right: 16 }),
    ],
    ...shared,
  };
}

function drawBar(params, api) {
  const row = laneRow(params, 0);
  const one = attempts[row.attempt];
  const from = api.coord([api.value(1), api.value(0)]);
  const to = api.coord([api.value(2), api.value(0)]);
  const area = params.coordSys;
  const left = Math.max(area.x, from[0]);
  const right = Math.min(area.x + area.width, Math.max(to[0], from[0] + 3));
  if (right < area.x || left > area.x + area.width) return null;
  const selected = lanes.selected === one;
  const open = one.outcome !== 'dead' && AT_WORK.includes(one.outcome);
  return {
    type: 'rect',
    shape: { x: left, y: from[1] - 7, width: Math.max(3, right - left), height: 14, r: open ? [3, 0, 0, 3] : 3 },
    style: {
      fill: colour(one.outcome), opacity: row.faint ? 0.2 : 1,
      stroke: selected ? colour('text') : one.outcome === 'dead' ? colour('dead-line') : undefined,
      lineWidth: selected ? 2 : one.outcome === 'dead' ? 1.5 : 0,
      lineDash: !selected && one.outcome === 'dead' ? [3, 2] : undefined,
    },
    emphasis: { style: { stroke: colour('text'), lineWidth: 1.5 } },
  };
}

function drawTick(params, api) {
  const [x, y] = api.coord([api.value(1), api.value(0)]);
  const row = laneRow(params, 1);
  return {
    type: 'rect',
    shape: { x: x - 1.5, y: y - 10, width: 3, height: 20, r: 1.5 },
    style: { fill: colour('tick'), stroke: colour('card'), lineWidth: 1, opacity: row.faint ? 0.2 : 1 },
  };
}

/** What the chart was given for the item that it draws now. */
const laneRow = (params, series) => lanes.rows[series][params.dataIndex];

function laneTip({ data: row }) {
  if (!row) return '';
  const one = attempts[row.attempt];
  const commit = row.commit === undefined ? null : one.commits[row.commit];
  if (commit) {
    return el('div', {}, el('div', { class: 'tip-head' }, el('code', {}, commit.commit.slice(0, 10)), ` by ${one.who}`),
      el('div', {}, commit.subject || 'no subject known'),
      el('div', { class: 'quiet' }, shortTime.format(Date.parse(commit.at)), el('br'), utc(commit.at.slice(0, 19))));
  }
  return el('div', {}, el('div', { class: 'tip-head' }, one.who, one.item_id ? ` on ${one.item_id}` : ''),
    el('div', {}, badge(one.outcome), one.attempt ? ` attempt ${one.attempt}` : ''),
    one.error ? el('div', { class: 'clamp' }, one.error.split('\n')[0]) : null,
    el('div', {}, one.seconds === null ? 'not ended' : `took ${lasting(one.seconds)}`, `, ${plural(one.commit_count, 'commit')}`),
    el('div', { class: 'quiet' }, one.started_at ? ['began ', shortTime.format(one.beginMs), el('br'), utc(one.started_at.slice(0, 19))] : 'begin not known'));
}

// Keyboard: from attempt to attempt, zoom.

function choose(one) {
  lanes.selected = one;
  const place = lanes.shown.findIndex((lane) => lane.name === one.who);
  if (place >= 0 && (place < lanes.first || place >= lanes.first + inSight())) {
    $('lanes-scroll').scrollTop = Math.max(0, place - Math.floor(inSight() / 2)) * LANE;
    lanes.first = firstInSight();
  }
  lanes.chart.setOption(laneOption(true));
  $('lanes-said').textContent = `${one.who}, ${one.item_id ?? 'no item'}, ${OUTCOMES[one.outcome]}, ${lasting(one.seconds)}, ${plural(one.commit_count, 'commit')}`;
}

function laneKeys(event) {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  const zooms = { '+': 0.5, '=': 0.5, '-': 2, 0: Infinity };
  if (moves[event.key]) move(...moves[event.key]);
  else if (event.key in zooms) zoom(zooms[event.key]);
  else if (event.key === 'Enter' && lanes.selected) openAttempt(lanes.selected);
  else return;
  event.preventDefault();
}

function move(down, along) {
  const place = lanes.selected ? lanes.shown.findIndex((lane) => lane.name === lanes.selected.who) : -1;
  if (place < 0) {
    choose(lanes.shown[lanes.first].attempts[0]);
    return;
  }
  const lane = lanes.shown[Math.max(0, Math.min(lanes.shown.length - 1, place + down))];
  const own = lane.attempts.indexOf(lanes.selected);
  const next = own < 0 ? 0 : Math.max(0, Math.min(lane.attempts.length - 1, own + along));
  choose(lane.attempts[next]);
}

/** Show `factor` times the stretch of time that is shown now, around its middle. */
function zoom(factor) {
  const { start, end } = lanes.chart.getOption().dataZoom[0];
  const middle = (start + end) / 2;
  const half = Math.min(50, Math.max(0.05, ((end - start) / 2) * factor));
  const from = Math.max(0, Math.min(100 - 2 * half, middle - half));
  lanes.chart.dispatchAction({ type: 'dataZoom', start: from, end: from + 2 * half });
}
