import sys

from webapp.client.main import main

sys.exit(main())
