import { parser } from '@prometheus-io/lezer-promql';

type Node = ReturnType<typeof parser.parse>['topNode'];

/** What targets export: the labels that each metric was seen with; of histograms, each of its series. */
export type Measured = ReadonlyMap<string, ReadonlySet<string>>;

/** Labels that scraping adds. */
const TARGET_LABELS = ['job', 'instance'];
const SUFFIXES: Readonly<Record<string, readonly string[]>> = {
  histogram: ['_bucket', '_sum', '_count'],
  summary: ['', '_sum', '_count'],
};

/** Reads Prometheus' text format, of several targets when they are given together. */
export function readExposition(...texts: readonly string[]): Measured {
  const lines = texts.join('\n').split('\n');
  const measured = new Map<string, Set<string>>(
    ['up', ...lines.flatMap(declared)].map((name) => [name, new Set(TARGET_LABELS)]),
  );
  for (const line of lines) {
    const { name = '', labels = '' } =
      /^(?<name>[a-zA-Z_:][\w:]*)\{(?<labels>.*)\} \S+$/.exec(line)?.groups ?? {};
    for (const [, label = ''] of labels.matchAll(/(\w+)="(?:[^"\\]|\\.)*"/g)) {
      measured.get(name)?.add(label);
    }
  }
  return measured;
}

/** The series that a `# TYPE` line announces. */
function declared(line: string): string[] {
  const { family, type = '' } = /^# TYPE (?<family>\S+) (?<type>\S+)$/.exec(line)?.groups ?? {};
  if (family === undefined) return [];
  return (SUFFIXES[type] ?? ['']).map((suffix) => `${family}${suffix}`);
}

/** Everything an expression names that is not measured, one line each; none when all is well. */
export function unmeasured(expression: string, measured: Measured): string[] {
  const problems: string[] = [];
  const text = (node: Node): string => expression.slice(node.from, node.to);
  walk(parser.parse(expression).topNode, (node) => {
    if (node.type.isError) problems.push(`no PromQL at ${node.from}: ${expression}`);
    if (node.name === 'VectorSelector') {
      const name = nameOf(node, text);
      const labels = measured.get(name);
      if (labels === undefined) problems.push(`no metric ${name || text(node)}`);
      for (const label of labels === undefined ? [] : below(node, 'LabelName').map(text)) {
        if (!labels?.has(label)) problems.push(`${name} has no label ${label}`);
      }
    }
    if (node.name === 'AggregateExpr' || node.name === 'BinaryExpr') {
      problems.push(...ungrouped(node, measured, text));
    }
  });
  return problems;
}

/** The names of the metrics of an expression. */
export function metricsOf(expression: string): string[] {
  const text = (node: Node): string => expression.slice(node.from, node.to);
  return below(parser.parse(expression).topNode, 'VectorSelector').map((node) =>
    nameOf(node, text),
  );
}

/** Labels an aggregation or a match goes by, and that a metric it is about does not have. */
function ungrouped(node: Node, measured: Measured, text: (node: Node) => string): string[] {
  const clause = node.getChild('AggregateModifier') ?? node.getChild('MatchingModifierClause');
  const labels = (clause === null ? [] : below(clause, 'LabelName')).map(text);
  return below(node, 'VectorSelector').flatMap((selector) => {
    const name = nameOf(selector, text);
    const known = measured.get(name);
    return labels
      .filter((label) => known !== undefined && !known.has(label))
      .map((label) => `${name} has no label ${label} to go by`);
  });
}

function nameOf(selector: Node, text: (node: Node) => string): string {
  const name = selector.getChild('Identifier');
  return name === null ? '' : text(name);
}

function below(node: Node, name: string): Node[] {
  const found: Node[] = [];
  walk(node, (one) => {
    if (one.name === name) found.push(one);
  });
  return found;
}

function walk(node: Node, visit: (node: Node) => void): void {
  visit(node);
  for (let child = node.firstChild; child !== null; child = child.nextSibling) walk(child, visit);
}
