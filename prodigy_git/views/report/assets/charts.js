// The charts over time and of durations, and what all charts have in common.

const charts = [];
const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';

/** Make a chart whose option is worked out anew when theme or paper change; drawn now or `later`. */
function chart(element, option, later = false) {
  const made = echarts.init(element, null, { renderer: 'canvas' });
  const draw = () => made.setOption(option(), { notMerge: true });
  charts.push({ chart: made, draw });
  if (!later) draw();
  return made;
}

const axisText = () => ({ color: colour('quiet'), fontFamily: FONT, fontSize: 12 });
const axisLines = () => ({
  axisLabel: axisText(),
  axisLine: { show: false },
  axisTick: { show: false },
  splitLine: { lineStyle: { color: colour('line') } },
  nameTextStyle: { ...axisText(), align: 'left' },
});

/** A tooltip's frame; `content` returns an element, which ECharts puts in as it is. */
const tooltip = (content, more = {}) => ({
  confine: true,
  backgroundColor: colour('card'),
  borderColor: colour('line-strong'),
  padding: [8, 12],
  textStyle: { color: colour('text'), fontFamily: FONT, fontSize: 13 },
  extraCssText: 'max-width:22rem;white-space:normal;box-shadow:0 4px 16px rgb(0 0 0/.16);border-radius:8px',
  formatter: content,
  ...more,
});

/** A time axis in the reader's zone, without the day where that is the same all along. */
const timeAxis = (more = {}) => ({
  type: 'time',
  ...axisLines(),
  splitLine: { show: true, lineStyle: { color: colour('line') } },
  axisLabel: { ...axisText(), hideOverlap: true },
  ...more,
});

function tipRow(name, value, swatch) {
  return el('div', { class: 'tip-row' },
    swatch ? el('i', { class: `swatch ${swatch}` }) : null, el('span', {}, name), el('b', {}, value));
}

// Progress above, throughput below, one time axis.

const SERIES = { done: 'Items completed', completed: 'Completed', failed: 'Failed attempts', running: 'At work, at most' };

function showTime() {
  const over = data.over_time;
  if (!over) {
    $('time').replaceWith(el('p', { class: 'empty' }, 'No event has a time: there is nothing to draw.'));
    return;
  }
  const start = Date.parse(over.start_at);
  const step = over.step_seconds * 1000;
  $('time-about').append(`Above: items completed so far${job.total_items ? ` (of ${count.format(job.total_items)})` : ''}. `
    + `Below, in steps of ${lasting(over.step_seconds)}: attempts that completed and failed, and agents at work.`);
  $('time').setAttribute('aria-label', `${count.format(over.done.at(-1))} items completed; at most `
    + `${count.format(Math.max(...over.running))} agents at work at once.`);
  const points = (name, shift = 0) => over[name].map((value, n) => [start + n * step + shift, value]);
  const content = (rows) => {
    const n = Math.min(over.done.length - 1, Math.max(0, Math.floor((rows[0].axisValue - start) / step)));
    const stamp = new Date(start + n * step).toISOString();
    return el('div', {}, el('div', { class: 'tip-head', title: utc(stamp) }, shortTime.format(start + n * step)),
      tipRow(SERIES.done, count.format(over.done[n]), 'completed'),
      tipRow(SERIES.completed, count.format(over.completed[n]), 'completed'),
      tipRow(SERIES.failed, count.format(over.failed[n]), 'failed'),
      tipRow(SERIES.running, count.format(over.running[n]), 'running'),
      el('div', { class: 'quiet' }, utc(stamp.slice(0, 19))));
  };
  const end = start + over.done.length * step;
  const bars = (name) => ({
    name: SERIES[name], type: 'bar', stack: 'ended', xAxisIndex: 1, yAxisIndex: 1, data: points(name, step / 2),
    itemStyle: { color: colour(name) }, barMaxWidth: 18, barCategoryGap: '20%',
  });
  const last = over.done.length - 1;
  chart($('time'), () => ({
    animation: false,
    aria: { enabled: false },
    tooltip: tooltip(content, { trigger: 'axis', axisPointer: { type: 'line', lineStyle: { color: colour('line-strong') } } }),
    axisPointer: { link: [{ xAxisIndex: 'all' }] },
    grid: [{ left: 48, right: 20, top: 26, height: 112 }, { left: 48, right: 20, top: 186, height: 96 }],
    xAxis: [
      timeAxis({ gridIndex: 0, min: start, max: end, axisLabel: { show: false } }),
      timeAxis({ gridIndex: 1, min: start, max: end, containShape: false }), // both axes alike
    ],
    yAxis: [
      { ...axisLines(), gridIndex: 0, name: 'items completed', minInterval: 1, splitNumber: 3, ...upToAll() },
      { ...axisLines(), gridIndex: 1, name: 'attempts ended (bars), agents at work (line)', minInterval: 1, splitNumber: 3 },
    ],
    dataZoom: [
      { type: 'inside', xAxisIndex: [0, 1], zoomOnMouseWheel: 'ctrl', filterMode: 'none', preventDefaultMouseMove: false },
      slider({ xAxisIndex: [0, 1], left: 48, right: 20 }),
    ],
    series: [
      { name: SERIES.done, type: 'line', showSymbol: false, lineStyle: { width: 2, color: colour('completed') },
        itemStyle: { color: colour('completed') }, areaStyle: { color: colour('completed'), opacity: 0.12 },
        data: [[start, over.done[0] - over.completed[0]], ...points('done', step).slice(0, last), [end, over.done[last]]] },
      bars('completed'),
      bars('failed'),
      { name: SERIES.running, type: 'line', step: 'middle', showSymbol: false, xAxisIndex: 1, yAxisIndex: 1,
        lineStyle: { width: 1.5, color: colour('running') }, itemStyle: { color: colour('running') }, data: points('running', step / 2) },
    ],
  }));
}

/** The axis of the items goes up to all there are, so that one sees how far it is. */
function upToAll() {
  const total = job.total_items;
  if (!total || total < Math.max(...data.over_time.done)) return {};
  return { max: total, interval: total % 2 ? total : total / 2 };
}

const slider = (more) => ({
  type: 'slider', height: 18, bottom: 6, showDetail: false, showDataShadow: false, brushSelect: false, filterMode: 'none',
  borderColor: colour('line'), backgroundColor: 'transparent', fillerColor: colour('filler'),
  handleStyle: { color: colour('card'), borderColor: colour('line-strong') },
  moveHandleSize: 4, moveHandleStyle: { color: colour('line-strong') },
  emphasis: { handleStyle: { borderColor: colour('running') }, moveHandleStyle: { color: colour('running') } },
  ...more,
});

// Durations: a histogram in round steps, and the figures of their spread.

function showDurations() {
  const { histogram: bins, completed, failed } = data.durations;
  if (!completed && !failed) {
    $('durations').parentElement.replaceWith(el('p', { class: 'empty' }, 'No attempt of which begin and end are known.'));
    return;
  }
  const edges = [bins.from, ...bins.edges];
  const labels = edges.map((edge, n) => (n < bins.edges.length ? `${lasting(edge)} – ${lasting(bins.edges[n])}` : null));
  labels[labels.length - 1] = lastLabel(bins, edges.at(-1));
  const ticks = labels.map((label, n) => (n < bins.edges.length ? `≤ ${lasting(bins.edges[n])}` : label));
  $('durations').setAttribute('aria-label', `How many attempts took how long: ${labels.map((label, n) =>
    `${label}: ${bins.completed[n]} completed, ${bins.failed[n]} failed`).join('; ')}`);
  showSpread(); // before the chart: it takes its room
  const bars = (name) => ({
    name, type: 'bar', stack: 'all', data: bins[name], itemStyle: { color: colour(name) }, barCategoryGap: '12%',
  });
  chart($('durations'), () => ({
    animation: false,
    grid: { left: 48, right: 12, top: 26, bottom: 30 },
    tooltip: tooltip((rows) => {
      const n = rows[0].dataIndex;
      return el('div', {}, el('div', { class: 'tip-head' }, labels[n]),
        tipRow('Completed', count.format(bins.completed[n]), 'completed'), tipRow('Failed', count.format(bins.failed[n]), 'failed'));
    }, { trigger: 'axis', axisPointer: { type: 'shadow' } }),
    xAxis: { type: 'category', data: ticks, ...axisLines(), axisLabel: { ...axisText(), hideOverlap: true } },
    yAxis: { ...axisLines(), name: 'attempts', minInterval: 1, splitNumber: 3 },
    series: [bars('completed'), bars('failed')],
  }));
}

function showSpread() {
  const { completed, failed } = data.durations;
  const rows = [['Shortest', 'least'], ['A quarter within', 'lower'], ['Half within', 'median'],
    ['Three quarters within', 'upper'], ['95 % within', 'p95'], ['Longest', 'most']];
  const kinds = [['completed', completed], ['failed', failed]].filter(([, found]) => found);
  $('spread').append(el('table', { class: 'figures' },
    el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, 'Attempts'), kinds.map(([name, found]) =>
      el('th', { scope: 'col', class: 'number' }, el('i', { class: `swatch ${name}`, 'aria-hidden': 'true' }), `${count.format(found.count)} ${name}`)))),
    el('tbody', {}, rows.map(([title, name]) => el('tr', {}, el('th', { scope: 'row' }, title),
      kinds.map(([, found]) => el('td', { class: 'number' }, lasting(found[name]))))))));
}

const lastLabel = (bins, edge) => (bins.open ? `more than ${lasting(edge)}` : `${lasting(edge)} – ${lasting(nextEdge(bins))}`);

/** The upper end of the last step: what the longest attempt is within. */
function nextEdge() {
  const { completed, failed } = data.durations;
  return Math.max(completed?.most ?? 0, failed?.most ?? 0);
}
