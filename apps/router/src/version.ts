export const ROUTER_VERSION = '0.1.0';
