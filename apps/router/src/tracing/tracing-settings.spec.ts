import { describe, expect, it } from '@jest/globals';
import { readTracingSettings } from './tracing-settings.js';

const ENDPOINT = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' };
const read = (environment: Record<string, string>) =>
  readTracingSettings({ ...ENDPOINT, ...environment });

describe('the variables of OpenTelemetry', () => {
  it.each([
    ['none', {}],
    ['an empty endpoint', { OTEL_EXPORTER_OTLP_ENDPOINT: ' ' }],
    ['a disabled SDK', { ...ENDPOINT, OTEL_SDK_DISABLED: 'TRUE' }],
    ['no exporter of traces', { ...ENDPOINT, OTEL_TRACES_EXPORTER: 'none' }],
    ['everything but an endpoint', { OTEL_SERVICE_NAME: 'x', OTEL_TRACES_SAMPLER: 'nonsense' }],
  ])('ask for nothing: %s', (_what, environment) => {
    expect(readTracingSettings(environment)).toBeUndefined();
  });

  it('have the defaults of the specification', () => {
    expect(read({})).toEqual({
      url: 'http://collector:4318/v1/traces',
      headers: {},
      resource: { 'service.name': 'sanctum-router' },
      sampler: { parentBased: true, share: 1 },
      queueSpansMax: 2048,
      sendDelayMs: 5000,
      exportTimeoutMs: 10_000,
    });
  });

  it('are a base for all signals, and a whole URL for traces, which goes first', () => {
    const all = { OTEL_EXPORTER_OTLP_ENDPOINT: 'https://c/otlp/' };
    expect(read(all)?.url).toBe('https://c/otlp/v1/traces');
    const traces = { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'https://t/in' };
    expect(read({ ...all, ...traces })?.url).toBe('https://t/in');
    expect(readTracingSettings(traces)?.url).toBe('https://t/in');
    const headers = {
      OTEL_EXPORTER_OTLP_HEADERS: 'a=1',
      OTEL_EXPORTER_OTLP_TRACES_HEADERS: 'authorization=Basic%20eDp5=, x-tenant = home ,',
    };
    expect(read(headers)?.headers).toEqual({
      authorization: 'Basic eDp5=',
      'x-tenant': 'home',
    });
  });

  it('name the service, the variable of its own first', () => {
    const attributes = { OTEL_RESOURCE_ATTRIBUTES: 'service.name=a,host.name=b' };
    expect(read(attributes)?.resource).toEqual({ 'service.name': 'a', 'host.name': 'b' });
    expect(read({ ...attributes, OTEL_SERVICE_NAME: 'c' })?.resource['service.name']).toBe('c');
  });

  it.each([
    ['always_on', '', { parentBased: false, share: 1 }],
    ['always_off', '', { parentBased: false, share: 0 }],
    ['traceidratio', '0.25', { parentBased: false, share: 0.25 }],
    ['parentbased_traceidratio', '0.5', { parentBased: true, share: 0.5 }],
    ['parentbased_always_off', '', { parentBased: true, share: 0 }],
  ])('choose a sampler: %s %s', (name, argument, sampler) => {
    const variables = { OTEL_TRACES_SAMPLER: name, OTEL_TRACES_SAMPLER_ARG: argument };
    expect(read(variables)?.sampler).toEqual(sampler);
  });

  it.each([
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'collector:4318'],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'grpc://collector'],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'http://me:secret@collector'],
    ['OTEL_EXPORTER_OTLP_PROTOCOL', 'grpc'],
    ['OTEL_EXPORTER_OTLP_TRACES_PROTOCOL', 'http/json'],
    ['OTEL_EXPORTER_OTLP_HEADERS', 'secret'],
    ['OTEL_EXPORTER_OTLP_HEADERS', 'a=secret%2'],
    ['OTEL_RESOURCE_ATTRIBUTES', '=secret'],
    ['OTEL_TRACES_SAMPLER', 'jaeger_remote'],
    ['OTEL_BSP_MAX_QUEUE_SIZE', '0'],
    ['OTEL_BSP_MAX_QUEUE_SIZE', '65537'],
    ['OTEL_BSP_SCHEDULE_DELAY', '1.5'],
    ['OTEL_EXPORTER_OTLP_TIMEOUT', '60001'],
  ])('are refused by name when wrong, without a secret: %s=%s', (variable, value) => {
    const refused = expect(() => read({ [variable]: value }));
    refused.toThrow(expect.objectContaining({ code: 'config_invalid', param: variable }));
    refused.toThrow(/^Environment variable OTEL_\w+: (?!.*secret)/);
  });

  it.each(['-0.1', '1.1', 'half'])('take no share of traces such as %s', (share) => {
    const wrong = { OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: share };
    expect(() => read(wrong)).toThrow(/OTEL_TRACES_SAMPLER_ARG: it is no number from 0 to 1/);
  });
});
