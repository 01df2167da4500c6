// The events: all in memory, in the document only the rows in sight.

const ROW = 30;
const ROWS_IN_SIGHT = 16;
const ROWS_ON_PAPER = 100;
const COLUMNS = [
  ['at', 'Time'], ['type', 'Event'], ['who', 'Agent'], ['item_id', 'Item'], ['text', 'What'],
];

const table = { rows: events, sort: 'at', down: true, active: 0, paper: false, drawn: '' };

function showTable() {
  const more = counts.events > counts.events_shown
    ? `The newest ${count.format(counts.events_shown)} of ${count.format(counts.events)} events; 'prodigy-git events ls --job ${job.repo}/${job.job_id}' has all. ` : '';
  $('events-about').append(`${more}Arrow keys, Home, End and page keys move, Enter opens.`);
  $('events-table').tHead.append(el('tr', { 'aria-rowindex': '1' }, COLUMNS.map(([name, title]) =>
    el('th', { scope: 'col', class: name, 'data-name': name }, el('button', {
      type: 'button', on: { click: () => sortBy(name) },
    }, title, el('span', { class: 'arrow', 'aria-hidden': 'true' }))))));
  const scroll = $('events-scroll');
  scroll.addEventListener('scroll', () => requestAnimationFrame(drawRows), { passive: true });
  const body = $('events-table').tBodies[0];
  body.addEventListener('keydown', rowKeys);
  body.addEventListener('click', (event) => {
    const row = event.target.closest('tr[data-place]');
    if (!row) return;
    table.active = Number(row.dataset.place);
    drawRows();
    openEvent(table.rows[table.active]);
  });
  onFilter((found) => { table.rows = found.events; sortRows(); table.active = 0; scroll.scrollTop = 0; drawRows(); });
  sortRows();
  drawRows();
}

function sortBy(name) {
  table.down = table.sort === name ? !table.down : name === 'at';
  table.sort = name;
  sortRows();
  table.active = 0;
  $('events-scroll').scrollTop = 0;
  drawRows();
}

const order = new Intl.Collator(undefined, { numeric: true });

function sortRows() {
  const { sort, down } = table;
  const sign = down ? -1 : 1;
  // The log's own order is time order, also of what has no time.
  const compare = sort === 'at' ? (a, b) => a.index - b.index
    : (a, b) => order.compare(a[sort] ?? '', b[sort] ?? '') || a.index - b.index;
  table.rows = [...table.rows].sort((a, b) => sign * compare(a, b));
  for (const heading of $('events-table').tHead.rows[0].cells) {
    const own = heading.dataset.name === sort;
    heading.setAttribute('aria-sort', own ? (down ? 'descending' : 'ascending') : 'none');
    heading.querySelector('.arrow').textContent = own ? (down ? '↓' : '↑') : '';
  }
}

function drawRows() {
  const { rows, paper } = table;
  const scroll = $('events-scroll');
  $('events-empty').hidden = rows.length > 0;
  scroll.hidden = !rows.length;
  $('events-table').setAttribute('aria-rowcount', String(rows.length + 1));
  const height = Math.min(rows.length, ROWS_IN_SIGHT);
  scroll.style.height = paper ? 'auto' : `${(height + 1) * ROW + 18}px`;
  const first = paper ? 0 : Math.max(0, Math.min(rows.length - height, Math.floor(scroll.scrollTop / ROW)) - 4);
  const last = paper ? Math.min(rows.length, ROWS_ON_PAPER) : Math.min(rows.length, first + height + 9);
  const body = $('events-table').tBodies[0];
  const focused = body.contains(document.activeElement);
  const made = [];
  for (let place = first; place < last; place += 1) made.push(eventRow(rows[place], place));
  // Empty rows stand for those above and below, so that the scroll bar is right.
  const space = (number) => el('tr', { class: 'space', 'aria-hidden': 'true', style: { height: `${number * ROW}px` } });
  if (!paper) { made.unshift(space(first)); made.push(space(rows.length - last)); }
  else if (last < rows.length) made.push(el('tr', {}, el('td', { colspan: COLUMNS.length, class: 'quiet' }, `… and ${plural(rows.length - last, 'more event')}`)));
  body.replaceChildren(...made);
  if (focused) focusRow();
}

function eventRow(one, place) {
  const active = place === table.active;
  return el('tr', { 'data-place': place, 'aria-rowindex': place + 2, tabindex: active ? '0' : '-1', class: active ? 'active' : '' },
    el('td', { class: 'at' }, one.at ? timeEl(one.at, shortTime) : '–'),
    el('td', { class: `type ${KIND_OF[one.type] ?? ''}` }, one.type),
    el('td', { class: 'who' }, one.who ?? ''),
    el('td', { class: 'item_id' }, one.item_id ?? ''),
    el('td', { class: 'text', title: one.text }, one.text));
}

const KIND_OF = {
  AgentFailed: 'bad', JobFailed: 'bad', DLQItemAdded: 'bad', AgentCompleted: 'good', JobCompleted: 'good', AgentRetrying: 'again',
};

function focusRow() {
  $('events-table').querySelector(`tr[data-place="${table.active}"]`)?.focus({ preventScroll: true });
}

function rowKeys(event) {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  const steps = { ArrowUp: -1, ArrowDown: 1, PageUp: -ROWS_IN_SIGHT, PageDown: ROWS_IN_SIGHT, Home: -Infinity, End: Infinity };
  if (event.key === 'Enter' || event.key === ' ') openEvent(table.rows[table.active]);
  else if (event.key in steps) goTo(table.active + steps[event.key]);
  else return;
  event.preventDefault();
}

function goTo(place) {
  table.active = Math.max(0, Math.min(table.rows.length - 1, place));
  const scroll = $('events-scroll');
  const inside = scroll.clientHeight - ROW; // the heading stays
  const top = table.active * ROW;
  if (top < scroll.scrollTop) scroll.scrollTop = top;
  else if (top + ROW > scroll.scrollTop + inside) scroll.scrollTop = top + ROW - inside;
  drawRows();
  focusRow();
}
