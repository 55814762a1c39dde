import { defineConfig } from 'vitepress';

export default defineConfig({
  title: 'Sanctum',
  description: 'The operating system for one operator’s AI at home',
  cleanUrls: true,
  ignoreDeadLinks: false,
  themeConfig: {
    search: { provider: 'local' },
    sidebar: [
      {
        text: 'Start',
        items: [
          { text: 'Install', link: '/install' },
          { text: 'Chat', link: '/chat' },
        ],
      },
      {
        text: 'Run',
        items: [
          { text: 'Models', link: '/models' },
          { text: 'Manifests', link: '/manifests' },
          { text: 'Identities', link: '/identities' },
          { text: 'Secrets', link: '/secrets' },
          { text: 'Audit', link: '/audit' },
          { text: 'Configuration', link: '/configuration' },
          { text: 'Observability', link: '/observability' },
          { text: 'Endpoints', link: '/endpoints' },
          { text: 'Failover', link: '/failover' },
          { text: 'Compatibility', link: '/compatibility' },
          { text: 'Python fallback', link: '/fallback' },
        ],
      },
    ],
  },
});
