// The messages to look at: reports of every sort, made from the example that lastwords has in itself.

const { execFileSync } = require('node:child_process');

module.exports = (bin) => {
  const example = () => JSON.parse(execFileSync(bin, ['render', '--report', 'example', '--format', 'json']));
  const changed = (change) => {
    const report = example();
    change(report);
    return report;
  };
  const many = { count: 347, first: '2026-11-23T02:55:01.000Z', last: '2026-11-23T03:00:00.000Z' };
  const all = { ...many, count: 348, first: '2026-11-23T02:55:00.000Z' };
  const hostile = '</pre></td><script>alert(1)</script><img src=x onerror=alert(1)>{{title}}\u202e\u001b[2J<!channel>&amp;';
  return {
    crash: example(),
    unknown: changed((report) => {
      report.stop.exit = { signal: { name: 'KILL', core_dumped: false } };
      report.cause = { kind: 'killed-by-signal', line: 'killed by SIGKILL, cause unknown', confidence: 'none', evidence: [
        { source: 'kernel log', text: 'init: web main process (4242) killed by KILL signal' },
        { source: 'kernel counters', text: 'oom_kill did not grow while the service ran: the kernel killed nothing for want of memory' },
      ] };
      report.past = { hours: [...Array(23).fill(0), 1] };
      report.runbook = null;
      report.notes = [];
    }),
    summary: changed((report) => {
      report.kind = { summary: { new: many, all, instances: 3, made_at: many.last } };
      report.past.hours = [...Array(23).fill(0), all.count];
    }),
    recovered: changed((report) => {
      report.kind = { recovered: { new: null, all, instances: 1, up_s: 601, made_at: '2026-11-23T03:10:01.000Z' } };
      report.sections = [];
      delete report.past;
      report.notes = [];
    }),
    drill: changed((report) => {
      report.drill = true;
      delete report.past;
    }),
    notice: changed((report) => {
      report.kind = 'notice';
      report.cause = { kind: 'unknown', line: 'ops-slack has not taken the report 20261123t030000-0123456789abcdef about web',
        confidence: 'certain', evidence: [] };
      report.verdict_because = 'it refused it for good: Slack answered 404: no_service';
      report.sections = [];
      delete report.past;
      report.notes = [];
    }),
    hostile: changed((report) => {
      report.host = 'h'.repeat(80);
      report.stop.job = 'x'.repeat(80);
      report.stop.instance = hostile;
      report.cause.line = hostile + 'W'.repeat(400);
      report.cause.evidence = [{ source: '/' + 'p'.repeat(300), text: 'q'.repeat(3000) }, { source: hostile, text: hostile }];
      report.runbook = 'https://wiki.example.com/' + 'r'.repeat(300);
      report.past.last_cause = 'z'.repeat(400);
      report.past.hours = Array(24).fill(Number.MAX_SAFE_INTEGER);
      for (const section of report.sections) {
        if (section.collector.startsWith('log')) {
          section.collector = 'log /' + 'l'.repeat(300);
          section.text = [hostile, 'L'.repeat(5000), '日本語のログ 🦀'.repeat(60), '\u0000\u0007bell'].join('\n');
        }
        if (section.collector === 'disk') {
          section.data = [{ mount_point: '/' + 'm'.repeat(500), total: 1, used: 2 ** 53, available: 1, inodes: 1, inodes_used: 2 ** 53 }];
        }
        if (section.collector === 'load') section.data = { load: [99999.5], cpus: 1 };
        if (section.collector === 'memory') section.data = { total: 'much', used: -1, cgroup: { limit: 0, used: 5 } };
      }
      report.notes = Array(5).fill(hostile + 'n'.repeat(400));
    }),
  };
};
