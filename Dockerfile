# One image for every process of Eider; docker-compose.yml says which one a container runs.
FROM node:24.11.1-bookworm-slim

# Python for trainers; LightGBM wants OpenMP from the system.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates libgomp1 python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*

ENV NODE_ENV=production \
    EIDER_HOME=/var/lib/eider \
    EIDER_CACHE=/var/cache/eider

WORKDIR /eider
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --no-audit --no-fund && npm cache clean --force
COPY . .
RUN node bin/build.js \
 && mkdir -p "$EIDER_HOME" "$EIDER_CACHE" \
 && chown node:node "$EIDER_HOME" "$EIDER_CACHE"

USER node
# With --build-arg TRAINERS=yes the trainers' Python environments are in the image; else the first run of each builds its own.
# PostgreSQL and Temporal are named so that their programs are not fetched.
ARG TRAINERS=no
RUN if [ "$TRAINERS" = yes ]; then \
      DATABASE_URL=postgresql://elsewhere/eider TEMPORAL_ADDRESS=elsewhere:7233 node bin/eider.js prepare; \
    fi

EXPOSE 8080 8081 8082 8815
CMD ["node", "--enable-source-maps", "dist/apps/api/main.js"]
