import { SanctumError } from '@sanctum/errors';

/** What OpenTelemetry's environment variables ask for. */
export interface TracingSettings {
  /** Takes OTLP over HTTP, as protobuf. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Attributes of this process, `service.name` among them. */
  readonly resource: Readonly<Record<string, string>>;
  readonly sampler: SamplerSetting;
  /** Spans that wait to be sent; beyond it they are dropped. */
  readonly queueSpansMax: number;
  readonly sendDelayMs: number;
  readonly exportTimeoutMs: number;
}

export interface SamplerSetting {
  /** A decision that came with the request counts. */
  readonly parentBased: boolean;
  /** Of traces, from 0 to 1. */
  readonly share: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

const SERVICE_NAME = 'sanctum-router';
const PROTOCOL = 'http/protobuf';
const SAMPLERS = ['always_on', 'always_off', 'traceidratio'];
const DEFAULTS = {
  OTEL_BSP_MAX_QUEUE_SIZE: { otherwise: 2_048, max: 65_536 },
  OTEL_BSP_SCHEDULE_DELAY: { otherwise: 5_000, max: 60_000 },
  OTEL_EXPORTER_OTLP_TIMEOUT: { otherwise: 10_000, max: 60_000 },
} as const;

/**
 * Undefined unless `OTEL_EXPORTER_OTLP_ENDPOINT`, or the one for traces, is set. Throws
 * `config_invalid` naming the variable. Source: the OpenTelemetry specification, "OTLP exporter" and
 * "SDK environment variables".
 */
export function readTracingSettings(environment: Environment): TracingSettings | undefined {
  const url = endpoint(environment);
  const isOff =
    environment['OTEL_SDK_DISABLED']?.toLowerCase() === 'true' ||
    environment['OTEL_TRACES_EXPORTER'] === 'none';
  if (url === undefined || isOff) return undefined;
  const [protocol, variable] = ofTraces(environment, 'PROTOCOL');
  if (protocol !== undefined && protocol !== PROTOCOL) {
    throw invalid(variable, `"${protocol}" is not supported; leave it out or set ${PROTOCOL}`);
  }
  const [headers, headersVariable] = ofTraces(environment, 'HEADERS');
  const resource = pairs(environment['OTEL_RESOURCE_ATTRIBUTES'], 'OTEL_RESOURCE_ATTRIBUTES');
  const name = environment['OTEL_SERVICE_NAME'] ?? resource['service.name'] ?? SERVICE_NAME;
  return {
    url,
    headers: pairs(headers, headersVariable),
    resource: { ...resource, 'service.name': name },
    sampler: sampler(environment),
    queueSpansMax: wholeNumber(environment, 'OTEL_BSP_MAX_QUEUE_SIZE'),
    sendDelayMs: wholeNumber(environment, 'OTEL_BSP_SCHEDULE_DELAY'),
    exportTimeoutMs: wholeNumber(environment, 'OTEL_EXPORTER_OTLP_TIMEOUT'),
  };
}

/** The variable for traces is the whole URL, the one for all signals a base. */
function endpoint(environment: Environment): string | undefined {
  const [text, variable] = ofTraces(environment, 'ENDPOINT');
  if (text === undefined) return undefined;
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) {
    throw invalid(variable, 'it is no http or https URL');
  }
  const url = new URL(text);
  if (url.username !== '' || url.password !== '') {
    throw invalid(variable, 'credentials belong in OTEL_EXPORTER_OTLP_HEADERS');
  }
  if (!variable.includes('TRACES')) url.pathname = `${url.pathname.replace(/\/$/, '')}/v1/traces`;
  return url.href;
}

/** The value for traces when it is set, else that for all signals, and the name of the variable. */
function ofTraces(environment: Environment, what: string): [string | undefined, string] {
  const [traces, all] = [`OTEL_EXPORTER_OTLP_TRACES_${what}`, `OTEL_EXPORTER_OTLP_${what}`];
  const isSet = (name: string) => (environment[name] ?? '').trim() !== '';
  const variable = isSet(traces) ? traces : all;
  return [isSet(variable) ? environment[variable]?.trim() : undefined, variable];
}

/** `a=1,b=2`, percent-encoded. Values may be secrets and are not repeated in errors. */
function pairs(text = '', variable: string): Record<string, string> {
  const entries = text
    .split(',')
    .filter((pair) => pair.trim() !== '')
    .map((pair) => {
      const at = pair.indexOf('=');
      if (at <= 0) throw invalid(variable, 'it is no list of name=value, separated by commas');
      return [decoded(pair.slice(0, at), variable), decoded(pair.slice(at + 1), variable)];
    });
  return Object.fromEntries(entries) as Record<string, string>;
}

function decoded(text: string, variable: string): string {
  try {
    return decodeURIComponent(text.trim());
  } catch (cause) {
    throw invalid(variable, 'a percent sign is not followed by two hexadecimal digits', cause);
  }
}

function sampler(environment: Environment): SamplerSetting {
  const text = environment['OTEL_TRACES_SAMPLER'] ?? 'parentbased_always_on';
  const name = text.replace(/^parentbased_/, '');
  if (!SAMPLERS.includes(name)) {
    const known = SAMPLERS.flatMap((one) => [one, `parentbased_${one}`]).join(', ');
    throw invalid('OTEL_TRACES_SAMPLER', `"${text}" is none of ${known}`);
  }
  const parentBased = name !== text;
  if (name !== 'traceidratio') return { parentBased, share: name === 'always_on' ? 1 : 0 };
  const share = Number(environment['OTEL_TRACES_SAMPLER_ARG'] ?? 1);
  if (share >= 0 && share <= 1) return { parentBased, share };
  throw invalid('OTEL_TRACES_SAMPLER_ARG', 'it is no number from 0 to 1');
}

function wholeNumber(environment: Environment, variable: keyof typeof DEFAULTS): number {
  const { otherwise, max } = DEFAULTS[variable];
  const text = environment[variable] ?? '';
  if (text === '') return otherwise;
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1 && value <= max) return value;
  throw invalid(variable, `it is no whole number from 1 to ${max}`);
}

function invalid(variable: string, why: string, cause?: unknown): SanctumError {
  return new SanctumError('config_invalid', `Environment variable ${variable}: ${why}.`, {
    param: variable,
    ...(cause === undefined ? {} : { cause }),
  });
}
