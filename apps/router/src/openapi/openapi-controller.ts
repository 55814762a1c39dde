import { Controller, Get } from '@nestjs/common';
import { ROUTER_VERSION } from '../version.js';
import { openApiDocument } from './document.js';

@Controller('openapi.json')
export class OpenApiController {
  readonly #document = openApiDocument(ROUTER_VERSION);

  @Get()
  document(): object {
    return this.#document;
  }
}
